"""Measurements during training: gradients of a step, predictions of a split."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tandem.balance.jacobian import gramian, shared_parameters, task_gradients
from tandem.callbacks.collapse.history import Predicted
from tandem.distributed.gather import is_distributed, mean_over_devices
from tandem.tasks.kinds import Kind
from tandem.tasks.output import TaskOutput


def shared_gram(loss: Tensor, losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> Tensor:
    """Computes inner products of the tasks' weighted gradients over the parameters that tasks share.

    `G_st = w_s w_t <dL_s/dtheta, dL_t/dtheta>` with `w_t = dL/dL_t`, for any balance. The graph is kept, `.grad`
    is not changed and no random number is drawn.

    Args:
        loss: the scalar to minimise.
        losses: losses of the tasks, with their graph.
        parameters: parameters of the network.

    Returns:
        (T, T) float64 on the CPU.
    """
    gradients = task_gradients(losses, parameters, _weights(loss, losses), keep_graph=True)
    shared = shared_parameters(gradients)
    rows = [[row[index] for index in shared] for row in gradients.values()]  # None if the task does not depend on it
    return gramian([[value if value is None else mean_over_devices(value) for value in row] for row in rows])


class SharedGramOfStep:
    """The same as `shared_gram` with one backward pass less: the gradient of one task is what the step's leaves.

    The other tasks' gradients are computed before the backward pass of the step, and subtracted from its result. So the
    result must be the weighted sum of the tasks' gradients, and `.grad` must be empty before.

    Args:
        loss: the scalar to minimise.
        losses: losses of the tasks, with their graph.
        parameters: parameters of the network.
        left: the task whose backward pass is saved.
    """

    def __init__(
        self, loss: Tensor, losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter], left: str
    ) -> None:
        self.names, self.parameters = tuple(losses), parameters
        others = {name: value for name, value in losses.items() if name != left}
        self.rows = task_gradients(others, parameters, _weights(loss, others), keep_graph=True)

    def after_backward(self) -> Tensor:
        """(T, T) float64 on the CPU, from the `.grad` of the parameters."""
        columns = zip(self.parameters, *self.rows.values(), strict=True)
        left = [_rest(parameter.grad, parts) for parameter, *parts in columns]
        rows = {name: self.rows.get(name, left) for name in self.names}
        shared = shared_parameters(rows)
        return gramian([[row[index] for index in shared] for row in rows.values()])


def _weights(loss: Tensor, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`dL/dL_t` of each task."""
    found = torch.autograd.grad(loss, list(losses.values()), retain_graph=True, allow_unused=True)
    pairs = zip(losses.items(), found, strict=True)
    return {name: torch.zeros_like(value) if weight is None else weight for (name, value), weight in pairs}


def _rest(whole: Tensor | None, parts: Sequence[Tensor | None]) -> Tensor | None:
    """What these parts leave of a gradient; None if nothing: the task that is left does not reach the parameter."""
    if whole is None:
        return None
    rest = whole
    for part in parts:
        rest = rest if part is None else rest - part
    return rest if bool(rest.any()) else None


def shares_and_cosines(names: Sequence[str], gram: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """Returns each task's share of the sum of norms, and each pair's cosine by `first/second`, none for zero gradients.

    Args:
        names: names of the tasks.
        gram: (T, T), from `shared_gram`.

    Example:
        >>> shares_and_cosines(["a", "b"], torch.tensor([[9.0, -3.0], [-3.0, 1.0]]))
        ({'a': 0.75, 'b': 0.25}, {'a/b': -1.0})
    """
    values = gram.tolist()
    norms = gram.diagonal().sqrt().tolist()
    total = sum(norms)
    shares = {name: norm / total for name, norm in zip(names, norms, strict=True)} if total > 0 else {}
    cosines = {
        f"{names[i]}/{names[j]}": values[i][j] / (norms[i] * norms[j])
        for i, j in combinations(range(len(names)), 2)
        if norms[i] * norms[j] > 0
    }
    return shares, cosines


class Predictions(Metric):
    """Counts the predictions of a task with probabilities over a split, and the range of its logits.

    Args:
        kind: kind of the task's target; must be `watched`.
        names: names of the task's channels or classes.
        linear: whether the task's head is known to end in a linear layer.
    """

    full_state_update = False
    low: Tensor
    high: Tensor
    least: Tensor
    most: Tensor
    chosen: Tensor
    true: Tensor
    known: Tensor

    def __init__(self, kind: Kind, names: Sequence[str], linear: bool = False) -> None:
        super().__init__(distributed_available_fn=is_distributed)
        self.kind = kind
        self.names = list(names)
        self.linear = linear
        channels = len(self.names)
        self.add_state("low", torch.tensor(torch.inf), "min")
        self.add_state("high", torch.tensor(-torch.inf), "max")
        self.add_state("least", torch.full((channels,), torch.inf), "min")
        self.add_state("most", torch.full((channels,), -torch.inf), "max")
        for name in ("chosen", "true", "known"):
            self.add_state(name, torch.zeros(channels, dtype=torch.long), "sum")

    def update(self, output: TaskOutput, threshold: Tensor) -> None:
        """Adds a batch.

        Args:
            output: output of the task.
            threshold: (channels,), a probability at or above it counts as yes; unused by multiclass tasks.
        """
        self.low = torch.minimum(self.low, output.logit_range[0])
        self.high = torch.maximum(self.high, output.logit_range[1])
        probabilities, target = output.probabilities, output.target
        flat = probabilities.transpose(0, 1).flatten(1)
        self.least = torch.minimum(self.least, flat.amin(dim=1))
        self.most = torch.maximum(self.most, flat.amax(dim=1))
        tally = self.kind.tally(probabilities, target, threshold)
        self.chosen = self.chosen + tally.chosen
        self.true = self.true + tally.true
        self.known = self.known + tally.known

    def compute(self) -> dict[str, Tensor]:
        """Returns the range of the logits, the shares, and the spread of the probabilities."""
        known = self.known.clamp(min=1)
        shares = {"chosen": self.chosen / known, "true": self.true / known}
        return {"low": self.low, "high": self.high, **shares, "spread": (self.most - self.least).amax()}

    def predicted(self) -> Predicted:
        """Returns the result of `compute` as plain numbers."""
        found = {
            name: value.flatten().tolist() for name, value in self.compute().items()
        }  # torchmetrics drops dimensions
        low, high, spread = (found[name][0] for name in ("low", "high", "spread"))
        shares = found["chosen"], found["true"]
        return Predicted(self.kind.name, self.names, self.kind.dense, low, high, *shares, spread, self.linear)
