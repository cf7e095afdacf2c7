"""Which rows have probabilities that are not a number, so that no metric is computed from them."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.tasks.output import TaskOutput

log = logging.getLogger(__name__)

NAMED = 5
"""So many images are named."""


def undefined_rows(output: TaskOutput) -> Tensor:
    """(M,) bool: the rows with a probability that is nan where the target is known.

    Args:
        output: of a task. In a target of whole numbers for each pixel or question 255 is missing.
    """
    undefined, target = output.probabilities.isnan(), output.target
    if target.ndim > 1 and not target.is_floating_point():
        known = target != MISSING_PIXEL
        undefined = undefined & (known if known.ndim == undefined.ndim else known.unsqueeze(1))
    return undefined.flatten(1).any(1)


class UndefinedRows:
    """Collects, over a split, the rows with a probability that is nan.

    Nothing waits for a device before the split's end. Memory: a byte and a reference to the name for each row.
    """

    def __init__(self) -> None:
        self.warned = False
        self.reset()

    def reset(self) -> None:
        """Forgets what was added."""
        self.masks: list[Tensor] = []
        self.places: list[Tensor] = []
        self.ids: list[tuple[str, ...]] = []

    def see(self, output: TaskOutput) -> None:
        """Adds a batch."""
        self.masks.append(undefined_rows(output))
        self.places.append(output.rows)
        self.ids.append(tuple(output.ids))

    def noted(self) -> tuple[int, list[str]]:
        """How many there are, and the names of those that have one; for each device its own."""
        if not self.masks or not bool(torch.cat(self.masks).any()):
            return 0, []
        names, count = [], 0
        for mask, places, ids in zip(self.masks, self.places, self.ids, strict=True):
            rows = places[mask].tolist()
            count += len(rows)
            names += [ids[row] for row in rows if row < len(ids)]
        return count, names

    def found(self, where: str, noted: Sequence[tuple[int, Sequence[str]]]) -> bool:
        """Whether there are any; the first time, a warning names them.

        Args:
            where: `<stage>/<task>`.
            noted: what `noted` gave on each device.
        """
        if not (count := sum(each for each, _ in noted)):
            return False
        if not self.warned:
            self.warned = True
            log.warning("%s", _message(where, count, [name for _, names in noted for name in names]))
        return True


def _message(where: str, count: int, names: Sequence[str]) -> str:
    named = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return (
        f"{where}: the probabilities of {count} images are not a number, so its metrics are nan"
        f"{f' ({named})' if named else ''}; training has diverged: lower optimizer.lr, clip gradients or use "
        "trainer.precision=32-true"
    )
