"""Multiclass losses on overlap: each class against the rest, whatever its size."""

import torch
from torch import Tensor

from tandem.losses import overlap
from tandem.losses.contract import MulticlassLoss


class OverlapLoss(overlap.OverlapLoss, MulticlassLoss):
    """Base of the multiclass losses on overlap, Dice and its kin: the mean over cells of `cell`.

    A cell is one class in one image, or in the whole batch; all classes have the same weight, a background class too. A
    cell without any target is left out of the mean. A class that is absent from an image (T = 0) costs log(1 + P) /
    log(1 + n) there, with P the sum of its probabilities and n the number of pixels with a target, so that its
    probabilities are pushed down: `functional.empty` says why.

    Args:
        per: `"image"`: each image has the same weight. `"batch"`: the pixels of all images are counted together, so the
            value depends on the batch; for labels (N,) take this one, as an image has only one pixel there.

    Raises:
        tandem.errors.ConfigError: for another `per`; when called, see `MulticlassLoss`.
    """

    def cells(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> overlap.Cells:
        """The softmax of the logits against the target as 0 and 1 for each class."""
        return torch.softmax(logits, 1), one_hot(logits, target, valid), None if valid is None else valid.unsqueeze(1)


def one_hot(logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """The target as (N, C, *spatial) of 0 and 1 in the dtype of the logits; all 0 where there is no target."""
    zeros = torch.zeros(logits.shape, dtype=logits.dtype, device=logits.device)
    answer = target.unsqueeze(1)
    return zeros.scatter_(1, answer, 1.0 if valid is None else valid.unsqueeze(1).to(zeros.dtype))


class Dice(overlap.Dice, OverlapLoss):
    """Soft Dice loss: the mean over cells of 1 - (2 I + s) / (P + T + s).

    I: sum of p y over the cell. P: sum of p. T: sum of y. s: `smooth`. p: softmax probability of the cell's class. y: 1
    where the class is the target. What a cell is, and what an absent class costs: `OverlapLoss`. Shapes and errors:
    `MulticlassLoss`. No smoothing is needed, see `tandem.losses.binary.Dice`.

    Source: Milletari et al., V-Net, 2016, with plain instead of squared sums in the denominator, one class against the
    rest.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
        smooth: s, in pixels, at least 0.

    Example:
        >>> Dice()(torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 1]]]))
        tensor(0.5000)
    """


class Tversky(overlap.Tversky, OverlapLoss):
    """Tversky loss: the mean over cells of 1 - (I + s) / (I + alpha FP + beta FN + s).

    I: sum of p y over the cell. FP: sum of p (1 - y), the class's false positives. FN: sum of (1 - p) y, its false
    negatives. s: `smooth`. p: softmax probability of the cell's class. y: 1 where the class is the target.
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


class Lovasz(overlap.Lovasz, OverlapLoss):
    """Lovasz-softmax: the mean over cells of the Lovasz extension of the Jaccard loss, at the errors of p.

    Over a cell: sum over i of e_i (J_i - J_{i-1}). e: the errors |y - p|, from large to small, with p the softmax
    probability of the cell's class and y = 1 where the class is the target. J_i: the Jaccard loss 1 - IoU of a
    prediction that has the i worst pixels wrong and all others right. Most of the time goes into sorting.

    What a cell is: `OverlapLoss`. A class that is absent costs log(1 + P) / log(1 + n) as in all losses on overlap,
    where the paper either leaves it out or penalises its single worst pixel. Shapes and errors: `MulticlassLoss`.

    Source: Berman et al., The Lovasz-Softmax Loss, 2018.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.

    Example:
        >>> Lovasz()(torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 1, 1]]]))
        tensor(0.5000)
    """

    def values(self, logits: Tensor, probability: Tensor) -> Tensor:
        """The probabilities."""
        return probability

    def error(self, values: Tensor, target: Tensor) -> Tensor:
        """|p - y|."""
        return (values - target).abs()
