"""The finding of a detector: what it saw, the numbers, and a suggested fix."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """One problem of a run.

    Attributes:
        name: name of the detector that found it.
        saw: what was observed, with the numbers, as a clause.
        attempt: the suggested fix, with the override to type.
        numbers: the numbers behind the finding.
        task: the affected task, or None if it is not about a single task.
        fatal: whether training cannot recover by itself.
    """

    name: str
    saw: str
    attempt: str
    numbers: dict[str, float] = field(default_factory=dict)
    task: str | None = None
    fatal: bool = True

    @property
    def label(self) -> str:
        """The name for trackers and the progress bar: `stuck_dice/segmentation`."""
        return f"{self.name}/{self.task}" if self.task else self.name

    def __str__(self) -> str:
        """Formats the finding as one line."""
        return f"{f'task {self.task!r}: ' if self.task else ''}{self.saw}. Try: {self.attempt}"


def lower_rate(rate: float) -> str:
    """Suggests a lower learning rate.

    Example:
        >>> lower_rate(0.001)
        'lower the learning rate from 0.001 to 0.0001 (optimizer.lr=0.0001); scripts/find_lr.py suggests one'
    """
    lower = f"{rate / 10:.1g}"
    return f"lower the learning rate from {rate:.3g} to {lower} (optimizer.lr={lower}); scripts/find_lr.py suggests one"


def other_loss(task: str) -> str:
    """Suggests a loss for a small foreground."""
    return (
        "choose a loss that a large background does not dominate "
        f"(loss/binary@tasks.{task}.loss=dice_bce, or balanced_bce or focal)"
    )


def more_weight(task: str, share: float, weights: dict[str, float], wanted: float = 0.1) -> str:
    """Suggests a larger task weight: enough for the wanted share, but first at most the largest weight of the others.

    Args:
        task: the task with too small a share.
        share: its share of the shared gradient.
        weights: the fixed weights of all tasks.
        wanted: the share that it should have.

    Example:
        >>> more_weight("mask", 0.001, {"mask": 0.1, "label": 1.0})
        'raise its weight from 0.1 to 1 (balance.weights.mask=1)'
        >>> more_weight("mask", 0.005, {"mask": 1.0, "label": 1.0})
        'raise its weight from 1 to 22 (balance.weights.mask=22)'
        >>> more_weight("mask", 0.0, {"mask": 1.0, "label": 1.0})
        'check its loss and logits: its own gradient has vanished, which no weight can fix'
    """
    now, others = weights[task], max((weight for name, weight in weights.items() if name != task), default=0.0)
    needed = now * wanted * (1 - share) / (share * (1 - wanted)) if share > 0 else math.inf
    better = min(needed, others) if now < others else needed
    if better > 100 * now:
        return "check its loss and logits: its own gradient has vanished, which no weight can fix"
    return f"raise its weight from {now:g} to {better:.2g} (balance.weights.{task}={better:.2g})"
