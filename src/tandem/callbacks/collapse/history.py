"""The history that the watch keeps of a run: a few numbers per epoch, stored in the checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from tandem.tasks.kinds import Kind, kind_of

T = TypeVar("T")


@dataclass(frozen=True)
class Predicted:
    """Summarises what a task with probabilities predicted on the whole validation split.

    Attributes:
        kind: name of the kind of target, such as `binary`.
        names: names of the channels or classes.
        dense: whether the task predicts pixels, not whole images.
        low: the smallest logit.
        high: the largest logit.
        chosen: binary: share of yes at the current threshold, per channel; multiclass: share of each class.
        true: the same shares among the targets.
        spread: the largest difference in a class's probability between two images or pixels.
        linear: whether the head is known to end in a linear layer, so that its outputs are logits whatever their range.
    """

    kind: str
    names: list[str]
    dense: bool
    low: float
    high: float
    chosen: list[float]
    true: list[float]
    spread: float
    linear: bool = False

    @property
    def target_kind(self) -> Kind:
        """The kind of the task's target."""
        return kind_of(self.kind, self.dense)


@dataclass(frozen=True)
class Epoch:
    """The numbers of one epoch; entries without a measurement are missing.

    Attributes:
        number: the epoch, counted from 0.
        rate: the configured base learning rate.
        train: training losses by task.
        val: validation losses by task.
        dice: official validation Dice by task, or by `task/channel`, at the best threshold.
        predicted: predictions on the validation split, by task.
        norm: median norm of the gradient of all parameters, before clipping.
        shares: shares of the shared gradient by task: its weighted norm over the sum of all tasks' weighted norms.
        cosines: cosines between the shared gradients of two tasks, by `first/second`.
        weights: fixed task weights, if the balance has them.
        terms: weights of the terms of composite losses, by task.
    """

    number: int
    rate: float
    train: dict[str, float] = field(default_factory=dict)
    val: dict[str, float] = field(default_factory=dict)
    dice: dict[str, float] = field(default_factory=dict)
    predicted: dict[str, Predicted] = field(default_factory=dict)
    norm: float | None = None
    shares: dict[str, float] = field(default_factory=dict)
    cosines: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    terms: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class History:
    """The history of a run so far.

    Attributes:
        epochs: the epochs, oldest first, without gaps.
        start: losses by task of the first batch, before the first step: those of the untrained network.
    """

    epochs: list[Epoch] = field(default_factory=list)
    start: dict[str, float] = field(default_factory=dict)

    @property
    def last(self) -> Epoch:
        """The latest epoch."""
        return self.epochs[-1]

    def names(self, read: Callable[[Epoch], Mapping[str, object]]) -> list[str]:
        """Returns the names that have a number in any epoch, in order of appearance.

        Args:
            read: selects the numbers of an epoch.
        """
        return list(dict.fromkeys(name for epoch in self.epochs for name in read(epoch)))

    def losses(self, task: str, stage: str) -> list[tuple[Epoch, float]]:
        """Returns a task's losses (`train` or `val`) since the last change of its terms' weights.

        While a schedule raises a weight, a rising loss is no sign of a problem.
        """
        now = self.last.terms.get(task)
        found: list[tuple[Epoch, float]] = []
        for epoch in reversed(self.epochs):
            if epoch.terms.get(task) != now:
                break
            if task in (values := getattr(epoch, stage)):
                found.append((epoch, values[task]))
        return found[::-1]

    def to_plain(self) -> dict[str, Any]:
        """Converts the history to plain containers."""
        return asdict(self)

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "History":
        """Restores the history from the result of `to_plain`."""
        return History([_epoch(entry) for entry in plain["epochs"]], dict(plain["start"]))


@dataclass(frozen=True)
class Limits:
    """Limits beyond which a run counts as collapsed.

    Attributes:
        warm_up: number of epochs at the start that are not judged.
        patience: number of consecutive epochs that must look bad.
        share: minimum share of the shared gradient; below it a task is not learnt.
        opposed: mean cosine of two tasks' gradients below which the tasks are opposed.
    """

    warm_up: int = 2
    patience: int = 3
    share: float = 0.01
    opposed: float = -0.3

    def recent(self, history: History, read: Callable[[Epoch], Mapping[str, T]], name: str) -> list[T]:
        """Returns the last `patience` values after the warm-up; empty if there are fewer.

        Args:
            history: the run so far.
            read: selects the numbers of an epoch.
            name: name of the number, usually a task.

        Example:
            >>> history = History([Epoch(n, 0.1, dice={"mask": n / 10}) for n in range(5)])
            >>> Limits(warm_up=1, patience=3).recent(history, lambda epoch: epoch.dice, "mask")
            [0.2, 0.3, 0.4]
        """
        found = [read(epoch) for epoch in history.epochs if epoch.number >= self.warm_up]
        known = [values[name] for values in found if name in values]
        return known[-self.patience :] if len(known) >= self.patience else []


def _epoch(plain: Mapping[str, Any]) -> Epoch:
    return Epoch(**{**plain, "predicted": {task: Predicted(**entry) for task, entry in plain["predicted"].items()}})
