"""Multiclass losses on overlap: each class against the rest, whatever its size."""

from math import inf

import torch
from torch import Tensor

from tandem.losses import functional
from tandem.losses.contract import MulticlassLoss
from tandem.losses.reduce import Overlap, overlap
from tandem.losses.validation import inside, number, pooling

_SMOOTH = "use 0, or a fraction of a small object's pixels"
_ALPHA = {0.0: "let false positives cost nothing"}
_BETA = {0.0: "let false negatives cost nothing"}


class OverlapLoss(MulticlassLoss):
    """Base of the losses on overlap, Dice and its kin: the mean over cells of `cell`.

    A cell is one class in one image, or in the whole batch; all classes count alike, a background class too. A cell
    without any target is left out of the mean. A class that is absent from an image (T = 0) costs log(1 + P) /
    log(1 + n) there, with P the sum of its probabilities and n the number of pixels with a target, so that it is
    pushed down: `functional.empty` says why.

    Args:
        per: `"image"`: each image counts alike. `"batch"`: the pixels of all images are counted together, so the value
            depends on the batch; for labels (N,) take this one, as an image has only one pixel there.

    Raises:
        tandem.errors.ConfigError: for another `per`; when called, see `MulticlassLoss`.
    """

    def __init__(self, per: str = "image") -> None:
        super().__init__()
        self.per = pooling(per)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Count each cell, and average."""
        probability = torch.softmax(logits, 1)
        counts = overlap(probability, one_hot(logits, target, valid), _shared(valid), self.per)
        return functional.overlap_mean(counts, self.cell)

    def cell(self, counts: Overlap) -> Tensor:
        """The loss of each cell with foreground (T >= 1), in the shape of the counts."""
        raise NotImplementedError(f"{type(self).__name__} needs `cell`")


def one_hot(logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """The target as (N, C, *spatial) of 0 and 1 in the dtype of the logits; all 0 where there is no target."""
    zeros = torch.zeros(logits.shape, dtype=logits.dtype, device=logits.device)
    answer = target.unsqueeze(1)
    return zeros.scatter_(1, answer, 1.0 if valid is None else valid.unsqueeze(1).to(zeros.dtype))


def _shared(valid: Tensor | None) -> Tensor | None:
    return None if valid is None else valid.unsqueeze(1)


class Dice(OverlapLoss):
    """Soft Dice loss: the mean over cells of 1 - (2 I + s) / (P + T + s).

    I: sum of p y over the cell. P: sum of p. T: sum of y. s: `smooth`. p: softmax probability of the cell's class. y: 1
    where the class is the target. What a cell is, and what an absent class costs: `OverlapLoss`. Shapes and errors:
    `MulticlassLoss`. No smoothing is needed, see `tandem.losses.binary.Dice`.

    Source: Milletari et al., V-Net, 2016, with plain instead of squared sums below, one class against the rest.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
        smooth: s, in pixels, at least 0.

    Example:
        >>> Dice()(torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 1]]]))
        tensor(0.5000)
    """

    def __init__(self, per: str = "image", smooth: float = 0.0) -> None:
        super().__init__(per)
        self.smooth = number("smooth", smooth, 0.0, inf, _SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (2 I + s) / (P + T + s)."""
        return functional.dice(counts, self.smooth)


class Tversky(OverlapLoss):
    """Tversky loss: the mean over cells of 1 - (I + s) / (I + alpha FP + beta FN + s).

    I: sum of p y over the cell. FP: sum of p (1 - y), what is falsely given to the class. FN: sum of (1 - p) y, what of
    the class is missed. s: `smooth`. p: softmax probability of the cell's class. y: 1 where the class is the target.
    alpha = beta = 0.5 is `Dice` (with s of half the size). What a cell is, and what an absent class costs:
    `OverlapLoss`. Shapes and errors: `MulticlassLoss`.

    Source: Salehi et al., Tversky Loss Function for Image Segmentation, 2017, one class against the rest.

    Args:
        alpha: weight of the false positives, above 0.
        beta: weight of the false negatives, above 0.
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
        smooth: s, in pixels, at least 0.

    Example:
        >>> Tversky(alpha=0.3, beta=0.7)(torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 1]]]))
        tensor(0.5000)
    """

    def __init__(self, alpha: float = 0.3, beta: float = 0.7, per: str = "image", smooth: float = 0.0) -> None:
        super().__init__(per)
        self.alpha = inside("alpha", alpha, 0.0, inf, _ALPHA, "0.5 with beta = 0.5 is Dice, 0.3 is usual")
        self.beta = inside("beta", beta, 0.0, inf, _BETA, "0.5 with alpha = 0.5 is Dice, 0.7 is usual")
        self.smooth = number("smooth", smooth, 0.0, inf, _SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (I + s) / (I + alpha FP + beta FN + s)."""
        return functional.tversky(counts, self.alpha, self.beta, self.smooth)


class Lovasz(OverlapLoss):
    """Lovasz-softmax: the mean over cells of the Lovasz extension of the Jaccard loss, at the errors of p.

    Over a cell: sum over i of e_i (J_i - J_{i-1}). e: the errors |y - p|, from large to small, with p the softmax
    probability of the cell's class and y = 1 where the class is the target. J_i: the Jaccard loss 1 - IoU of a
    prediction that has the i worst pixels wrong and all others right. Most of the time goes into sorting.

    What a cell is: `OverlapLoss`. A class that is absent costs log(1 + P) / log(1 + n) as in all losses on overlap,
    where the paper either leaves it out or pushes on its single worst pixel. Shapes and errors: `MulticlassLoss`.

    Source: Berman et al., The Lovasz-Softmax Loss, 2018.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.

    Example:
        >>> Lovasz()(torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 1]]]))
        tensor(0.5000)
    """

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Sort each cell, and average."""
        probability, answer, known = torch.softmax(logits, 1), one_hot(logits, target, valid), _shared(valid)
        costs = functional.lovasz(probability, answer, known, self.per, lambda p, y: (p - y).abs())
        return functional.overlap_mean(overlap(probability, answer, known, self.per), lambda _: costs)
