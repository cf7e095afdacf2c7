"""The contract of a balance: from named task losses to one scalar, and its gradients."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError


class Balance(nn.Module, ABC):
    """Weighs tasks against each other, by their losses or by their gradients.

    A balance gets only the tasks that have a target in a step. What it learns or remembers is a parameter or a buffer,
    so that it is in the checkpoint, and a resumed run equals an uninterrupted one. Random numbers come from torch's
    generator on the CPU, which the module seeds for every batch.

    The fixed weights set how much a task counts under any method: each method has them where its paper leaves room for
    a preference. With weights of 1 a method is that of its paper. A task of weight 0 is measured but not trained.

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.

    Attributes:
        whole_batch: whether the method remembers or compares what only the losses of the whole batch tell: it then
            needs `trainer.share=rows` or `batch` on several devices.
        effective: factor of each task's loss or shared gradient in the last step; empty where it never changes. Logged
            as `train/<task>/weight`.

    Raises:
        ConfigError: a task without weight, a weight without task, a negative weight, or none above 0.
    """

    whole_batch: ClassVar[bool] = False
    preference: Tensor

    def __init__(self, weights: Mapping[str, float], tasks: tuple[str, ...]) -> None:
        super().__init__()
        for name in tasks:
            if name not in weights:
                raise ConfigError(f"task '{name}' has no weight; give balance.weights.{name}")
        for name, weight in weights.items():
            if name not in tasks:
                raise ConfigError(f"balance.weights.{name} is for no task of this run: {', '.join(tasks)}")
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"balance.weights.{name} is {weight}, but must be a number of at least 0")
        if not any(weights.values()):
            raise ConfigError("every balance.weights is 0, so nothing would be learned; give one above 0")
        self.weights = {name: float(weight) for name, weight in weights.items()}
        self.tasks = tasks
        preference = torch.tensor([self.weights[name] for name in tasks])
        self.register_buffer("preference", preference, persistent=False)
        self.effective: dict[str, Tensor | float] = {}

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Named scalar losses to the scalar that is minimised; in evaluation, and without any weight, `weighted_sum`.

        Args:
            losses: of the tasks that have a target in this step; at least one.
        """
        counted = self.counted(losses)
        self.effective = {}
        return self.combine(counted) if self.training and counted else self.weighted_sum(losses)

    @abstractmethod
    def combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Losses of a training step to the scalar that is minimised; may draw, count and remember.

        Args:
            losses: of the tasks that have a target in this step and a weight above 0; at least one.
        """

    def weighted_sum(self, losses: Mapping[str, Tensor]) -> Tensor:
        """`sum_t w_t L_t` with the fixed weights alone: the same number for every balance, epoch and split.

        Logged as `<stage>/loss`, since a sum whose weights change cannot show which epoch is best. No side effects.

        Args:
            losses: scalars of at least one task.
        """
        terms = [self.weights[name] * loss for name, loss in losses.items()]
        return sum(terms[1:], start=terms[0])

    def backward(
        self, loss: Tensor, losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter], accumulate: bool = False
    ) -> None:
        """Add this step's gradients to `.grad` of every parameter.

        Args:
            loss: what `forward` returned, times Lightning's scale (accumulation, half precision).
            losses: the argument of `forward`.
            parameters: all that are trained; tasks can be in conflict in those that more than one task reaches.
            accumulate: whether the gradients of several batches make one step of the optimiser. A new step begins where
                the parameters have no `.grad`.
        """
        loss.backward()  # type: ignore[no-untyped-call]

    def after_step(self, losses: Callable[[], Mapping[str, Tensor]]) -> None:
        """Called after a step of the optimiser.

        Args:
            losses: computes the losses of the step's last batch once more, with the new weights.
        """

    def on_epoch_end(self, losses: Mapping[str, Tensor]) -> None:
        """Called at the end of each training epoch.

        Args:
            losses: means over the epoch of the tasks that had a target in it; maybe none.
        """

    def counted(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The losses of tasks with a weight above 0."""
        return {name: loss for name, loss in losses.items() if self.weights[name] > 0}

    def places(self, names: Iterable[str]) -> list[int]:
        """Index of these tasks in `tasks`, and so in every vector with one number for each task."""
        return [self.tasks.index(name) for name in names]
