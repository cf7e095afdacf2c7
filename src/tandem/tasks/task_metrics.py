"""Accumulates the losses and metrics of a task over one split."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from tandem.decisions.reached import reached
from tandem.distributed.gather import is_distributed
from tandem.distributed.metric_states import shared, told_by_all
from tandem.metrics.shared_counts import first_of_each, take_counts
from tandem.tasks.output import TaskOutput
from tandem.tasks.undefined import UndefinedRows


class RowMean(Metric):
    """Averages batch means, weighted by their number of rows; nan if one of them is nan.

    Torchmetrics' own mean ignores nan, which hides a diverged loss, and it waits for the device to check for nan.
    """

    full_state_update = False
    total: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__(distributed_available_fn=is_distributed)
        self.add_state("total", torch.tensor(0.0), "sum")
        self.add_state("rows", torch.tensor(0), "sum")

    def update(self, mean: Tensor, rows: int) -> None:
        """Adds the mean of a batch, a scalar or (K,) in a fixed order, and its number of rows."""
        self.total = self.total + mean * rows  # not in place: Lightning's inference mode may have made the tensor
        self.rows = self.rows + rows

    def compute(self) -> Tensor:
        """Returns the mean, a scalar or (K,)."""
        return self.total / self.rows


class TaskMetrics(nn.Module):
    """Accumulates batches. Metrics are counted over the split and divided once; each device counts its own rows.

    Losses are batch means weighted by their number of rows. If a loss is not a mean over rows (Dice over a batch,
    class weights, partly missing masks), its value depends slightly on the batch size, as the training loss does.
    A value to which no row contributed is absent, not 0. If a probability of the split is nan, every metric is nan.

    Args:
        metrics: metrics by name; they are cloned. A metric with `needs_mask` gets yes/no answers, and only when the
            threshold is final; one with `needs_spacing` also gets the size of the pixels.
        class_names: names of the entries of a metric with one value per class.
    """

    def __init__(self, metrics: Mapping[str, Metric], class_names: Sequence[str]) -> None:
        super().__init__()
        self.losses = RowMean()
        self.names: tuple[str, ...] = ()
        self.undefined = UndefinedRows()
        self.metrics = MetricCollection(
            {name: shared(metric.clone()) for name, metric in metrics.items()}, compute_groups=False
        )
        self.first = first_of_each(self._metrics())
        self.class_names = tuple(class_names)

    def update(
        self, output: TaskOutput, threshold: Tensor | None = None, decide: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Adds a batch with the same loss terms as earlier batches.

        Args:
            output: the task's output for the batch.
            threshold: (C,), if it is final; None while training still changes it.
            decide: makes yes/no answers of probabilities; None: each that reaches the threshold.
        """
        values = _losses(output)
        if self.losses.update_called:
            values = {name: values[name] for name in self.names}
        self.names = tuple(values)
        self.losses.update(torch.stack(list(values.values())), len(output.rows))
        if not len(output.rows):  # some metrics raise on nothing
            return
        self.undefined.see(output)
        probabilities = output.probabilities.nan_to_num(0.0)  # of other libraries' metrics some would raise an error
        for metric in (self.metrics[name] for name in set(self.first.values())):
            if not getattr(metric, "needs_mask", False):
                metric.update(probabilities, output.target)
            elif threshold is not None:
                sized = {"spacing": output.spacing} if getattr(metric, "needs_spacing", False) else {}
                answers = reached(probabilities, threshold) if decide is None else decide(probabilities)
                metric.update(answers, output.target, **sized)

    def compute(self, where: str = "") -> dict[str, Tensor]:
        """Returns the values of all devices by name, empty if nothing was added, and resets; all devices call it.

        Args:
            where: `<stage>/<task>`, for the warning about probabilities that are nan.
        """
        found: dict[str, Tensor] = {}
        metrics = self._metrics()
        counted = {name: metrics[name] for name in dict.fromkeys(self.first.values())}
        seen, said = told_by_all(
            {"loss": self.losses, **{f"metric {name}": one for name, one in counted.items()}},
            (self.names, *self.undefined.noted()),
        )
        if "loss" in seen:
            means = self.losses.compute().view(-1)  # torchmetrics returns a single mean as a scalar
            names = next(names for names, *_ in said if names)
            found = dict(zip(names, means.unbind(), strict=True))
            undefined = self.undefined.found(where, [(count, ids) for _, count, ids in said])
            for name, metric in metrics.items():
                if f"metric {self.first[name]}" not in seen:
                    continue
                if (first := metrics[self.first[name]]) is not metric:
                    take_counts(metric, first)
                value = metric.compute()
                found |= self._named(name, torch.full_like(value, torch.nan) if undefined else value)
        self.reset()
        return found

    def reset(self) -> None:
        """Discards what was added."""
        self.losses.reset()
        self.metrics.reset()
        self.undefined.reset()

    def _metrics(self) -> dict[str, Metric]:
        return dict(self.metrics.items())

    def _named(self, name: str, value: Tensor) -> dict[str, Tensor]:
        if value.ndim == 0:
            return {name: value}
        return {f"{name}/{label}": entry for label, entry in zip(self.class_names, value, strict=True)}


def _losses(output: TaskOutput) -> dict[str, Tensor]:
    """Returns the loss, and each named term with and without its weight, under their logged names."""
    named = {f"loss/{name}": term.detach() for name, term in output.losses.items() if name}
    bare = {f"loss/{name}/unweighted": term for name, term in output.unweighted.items() if name}
    return {"loss": output.loss.detach(), **named, **bare}


def running_state(module: nn.Module) -> dict[str, Any]:
    """What the metrics below a module have accumulated, by the module's name, as plain containers and tensors."""
    found: dict[str, Any] = {}
    for name, part in module.named_modules():
        if isinstance(part, Metric) and part.update_called:
            found[name] = {"count": part.update_count, "state": dict(part.metric_state)}
        elif isinstance(part, TaskMetrics):
            undefined = part.undefined
            found[name] = {"names": part.names, "rows": [undefined.masks, undefined.places, undefined.ids]}
    return found


def load_running_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Restores what `running_state` returned."""
    for name, part in module.named_modules():
        if (kept := state.get(name)) is None:
            continue
        if isinstance(part, TaskMetrics):
            part.names = tuple(kept["names"])
            undefined = part.undefined
            undefined.masks, undefined.places, undefined.ids = (list(each) for each in kept["rows"])
        elif isinstance(part, Metric):
            part.reset()
            part._update_count = kept["count"]  # torchmetrics has no other way to restore it
            for key, value in kept["state"].items():
                setattr(
                    part,
                    key,
                    [each.to(part.device) for each in value] if isinstance(value, list) else value.to(part.device),
                )
