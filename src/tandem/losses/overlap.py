"""Losses on overlap, Dice and its kin: the part that binary and multiclass losses share.

A cell is one channel (binary) or one class (multiclass) of one image, or of the whole batch. Each loss is a mean over
cells, so that a large background does not dominate.
"""

from math import inf

from torch import Tensor

from tandem.losses import functional
from tandem.losses.contract import CleanedLoss
from tandem.losses.reduce import Overlap, overlap
from tandem.losses.validation import inside, number, pooling

Cells = tuple[Tensor, Tensor, Tensor | None]
"""Probabilities and targets, (N, C, *spatial), and where they are valid: the same shape, (N, 1, *spatial) or None."""

SMOOTH = "use 0, or a fraction of a small object's pixels"
_ALPHA = {0.0: "let false positives cost nothing, so that a prediction of all foreground would be perfect"}
_BETA = {0.0: "let false negatives cost nothing, so that a prediction of nearly no foreground would be perfect"}


class OverlapLoss(CleanedLoss):
    """Base of the losses on overlap: the mean over cells of `cell`.

    A cell without any valid pixel is left out of the mean. A cell whose target is empty (T = 0) costs
    log(1 + P) / log(1 + n) instead, with P the sum of the probabilities and n the number of valid pixels;
    `functional.empty` says why.

    Args:
        per: `"image"` or `"batch"`: what a cell is taken from.

    Raises:
        tandem.errors.ConfigError: for another `per`.
    """

    def __init__(self, per: str = "image") -> None:
        super().__init__()
        self.per = pooling(per)

    @property
    def by_rows(self) -> bool:
        """Whether each image has cells of its own."""
        return self.per == "image"

    def cells(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Cells:
        """Probabilities, one target for each of them, and validity."""
        raise NotImplementedError(f"{type(self).__name__} needs `cells`")

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Count each cell, and average."""
        return functional.overlap_mean(
            overlap(*self.cells(logits, target, valid), self.per, self.fractional), self.cell
        )

    def cell(self, counts: Overlap) -> Tensor:
        """The loss of each cell with foreground (T > 0), in the shape of the counts."""
        raise NotImplementedError(f"{type(self).__name__} needs `cell`")


class Dice(OverlapLoss):
    """Soft Dice loss: the mean over cells of 1 - (2 I + s) / (P + T + s)."""

    def __init__(self, per: str = "image", smooth: float = 0.0) -> None:
        super().__init__(per)
        self.smooth = number("smooth", smooth, 0.0, inf, SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (2 I + s) / (P + T + s)."""
        return functional.dice(counts, self.smooth)


class Tversky(OverlapLoss):
    """Tversky loss: the mean over cells of 1 - (I + s) / (I + alpha FP + beta FN + s)."""

    def __init__(self, alpha: float = 0.3, beta: float = 0.7, per: str = "image", smooth: float = 0.0) -> None:
        super().__init__(per)
        self.alpha = inside("alpha", alpha, 0.0, inf, _ALPHA, "0.5 with beta = 0.5 is Dice, 0.3 is usual")
        self.beta = inside("beta", beta, 0.0, inf, _BETA, "0.5 with alpha = 0.5 is Dice, 0.7 is usual")
        self.smooth = number("smooth", smooth, 0.0, inf, SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (I + s) / (I + alpha FP + beta FN + s)."""
        return functional.tversky(counts, self.alpha, self.beta, self.smooth)


class Lovasz(OverlapLoss):
    """The mean over cells of the Lovasz extension of the Jaccard loss, at the errors of `values`."""

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Sort each cell, and average."""
        probability, answer, known = self.cells(logits, target, valid)
        costs = functional.lovasz(self.values(logits, probability), answer, known, self.per, self.error)
        return functional.overlap_mean(overlap(probability, answer, known, self.per), lambda _: costs)

    def values(self, logits: Tensor, probability: Tensor) -> Tensor:
        """What errors are measured on: the logits or the probabilities."""
        raise NotImplementedError(f"{type(self).__name__} needs `values`")

    def error(self, values: Tensor, target: Tensor) -> Tensor:
        """The error of each value."""
        raise NotImplementedError(f"{type(self).__name__} needs `error`")
