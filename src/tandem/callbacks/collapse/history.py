"""What the watch remembers of a run: a few numbers of each epoch, plain enough for a checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from tandem.tasks.kinds import Kind, kind_of

T = TypeVar("T")


@dataclass(frozen=True)
class Predicted:
    """What a task with probabilities predicted on the whole validation split.

    Attributes:
        kind: name of the kind of target, such as `binary`.
        names: of the channels or classes.
        dense: whether it predicts pixels; else whole pictures.
        low: smallest logit.
        high: largest logit.
        chosen: binary: share of yes at the threshold in force, for each channel; multiclass: share of each class.
        true: the same shares among the targets.
        spread: how far the probability of a class differs between two pictures or pixels, at most.
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
        """What tasks of that kind do."""
        return kind_of(self.kind, self.dense)


@dataclass(frozen=True)
class Epoch:
    """The numbers of one epoch; an entry is missing where nothing was measured.

    Attributes:
        number: from 0.
        rate: the base learning rate, as it is configured.
        train: training loss by task.
        val: validation loss by task.
        dice: official validation Dice by task, or by `task/channel`, at the best threshold.
        predicted: on the validation split, by task.
        norm: median norm of the gradient of all parameters, before clipping.
        shares: of the shared gradient by task: its norm over the sum of all tasks' norms, weights included.
        cosines: between the shared gradients of two tasks, by `first/second`.
        weights: fixed task weights, where the balance has such.
        terms: weights of a composite loss's terms, by task.
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
    """A run so far.

    Attributes:
        epochs: oldest first, without gaps.
        start: loss by task of the first batch, before the first step: what an untrained network has.
    """

    epochs: list[Epoch] = field(default_factory=list)
    start: dict[str, float] = field(default_factory=dict)

    @property
    def last(self) -> Epoch:
        """The epoch that ends."""
        return self.epochs[-1]

    def names(self, read: Callable[[Epoch], Mapping[str, object]]) -> list[str]:
        """Whose numbers there are in any epoch, in their order.

        Args:
            read: which of an epoch's numbers.
        """
        return list(dict.fromkeys(name for epoch in self.epochs for name in read(epoch)))

    def losses(self, task: str, stage: str) -> list[tuple[Epoch, float]]:
        """A task's losses (`train` or `val`), from the epoch on since which its terms have the weights they have now.

        Where a weight rises on schedule, a rising loss means nothing.
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
        """As plain containers."""
        return asdict(self)

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "History":
        """From what `to_plain` gave."""
        return History([_epoch(entry) for entry in plain["epochs"]], dict(plain["start"]))


@dataclass(frozen=True)
class Limits:
    """When something counts as collapsed.

    Attributes:
        warm_up: epochs at the start that are not judged.
        patience: epochs in a row that must look bad.
        share: of the shared gradient, below which a task is not learnt.
        opposed: mean cosine of two tasks' gradients below which they are opposed.
    """

    warm_up: int = 2
    patience: int = 3
    share: float = 0.01
    opposed: float = -0.3

    def recent(self, history: History, read: Callable[[Epoch], Mapping[str, T]], name: str) -> list[T]:
        """The values of the last `patience` epochs after the warm-up that have one; empty where these are fewer.

        Args:
            history: the run so far.
            read: which of an epoch's numbers.
            name: whose, mostly a task's.

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
