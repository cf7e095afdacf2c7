"""What a detector says: what it saw, the numbers, and what to try."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run.

    Attributes:
        name: of the detector that found it.
        saw: what was seen, with the numbers, as half a sentence.
        attempt: what to try, with the override to type.
        numbers: that it rests on.
        task: whose it is, or none of them alone.
        fatal: whether training does not recover from it by itself.
    """

    name: str
    saw: str
    attempt: str
    numbers: dict[str, float] = field(default_factory=dict)
    task: str | None = None
    fatal: bool = True

    @property
    def label(self) -> str:
        """For trackers and the progress bar: `stuck_dice/segmentation`."""
        return f"{self.name}/{self.task}" if self.task else self.name

    def __str__(self) -> str:
        """One line in plain words."""
        return f"{f'task {self.task!r}: ' if self.task else ''}{self.saw}. Try: {self.attempt}"


def lower_rate(rate: float) -> str:
    """Advice on the learning rate.

    Example:
        >>> lower_rate(0.001)
        'lower the learning rate from 0.001 to 0.0001 (optimizer.lr=0.0001); scripts/find_lr.py suggests one'
    """
    lower = f"{rate / 10:.1g}"
    return f"lower the learning rate from {rate:.3g} to {lower} (optimizer.lr={lower}); scripts/find_lr.py suggests one"


def other_loss(task: str) -> str:
    """Advice on a loss for a foreground that is small."""
    return (
        f"choose a loss that a large background does not rule (loss/binary@tasks.{task}.loss=dice_bce, or balanced_bce "
        "or focal)"
    )


def more_weight(task: str, share: float, weights: dict[str, float], wanted: float = 0.1) -> str:
    """Advice on a task's weight: what the others have, or what it takes for a tenth, if that is less or it has that.

    Args:
        task: that has too small a share.
        share: that it has of the shared gradient.
        weights: fixed weights of all tasks.
        wanted: share that it should have.

    Example:
        >>> more_weight("mask", 0.001, {"mask": 0.1, "label": 1.0})
        'raise its weight from 0.1 to 1 (balance.weights.mask=1)'
        >>> more_weight("mask", 0.005, {"mask": 1.0, "label": 1.0})
        'raise its weight from 1 to 22 (balance.weights.mask=22)'
        >>> more_weight("mask", 0.0, {"mask": 1.0, "label": 1.0})
        'look at its loss and logits, since its own gradient has vanished, which no weight mends'
    """
    now, others = weights[task], max((weight for name, weight in weights.items() if name != task), default=0.0)
    needed = now * wanted * (1 - share) / (share * (1 - wanted)) if share > 0 else math.inf
    better = min(needed, others) if now < others else needed
    if better > 100 * now:
        return "look at its loss and logits, since its own gradient has vanished, which no weight mends"
    return f"raise its weight from {now:g} to {better:.2g} (balance.weights.{task}={better:.2g})"
