"""Binary losses on overlap: each image or batch as a whole, so that a large background does not dominate."""

from math import inf

import torch
from torch import Tensor

from tandem.losses import functional, overlap
from tandem.losses.contract import BinaryLoss
from tandem.losses.reduce import Overlap
from tandem.losses.validation import inside, number


class OverlapLoss(overlap.OverlapLoss, BinaryLoss):
    """Base of the binary losses on overlap, Dice and its kin: the mean over cells of `cell`.

    A cell is one channel of one image, or of the whole batch. A cell without any target is left out of the mean. A
    cell whose target is empty (T = 0) costs log(1 + P) / log(1 + n) instead, with P the sum of the probabilities and
    n the number of pixels with a target: 0 for an empty prediction, and more for every false positive.
    `functional.empty` says why.

    Args:
        per: `"image"`: each image has the same weight, however small its lesion. `"batch"`: the pixels of all images
            are counted together, so large lesions dominate, and the value depends on the batch; for flat (N, C) logits
            take this one, as an image has only one element there.

    Soft targets: I is the sum of min(p, y), which is that of p y for y = 0 and 1. So the loss is 0 at p = y and nowhere
    else; with p y it would be lowest at some p of 0 and 1 (Wang et al., Dice Semimetric Losses: Optimizing the Dice
    Score with Soft Labels, 2023). FP = P - I and FN = T - I. With label smoothing no cell is empty.

    Raises:
        tandem.errors.ConfigError: for another `per`; when called, see `BinaryLoss`.
    """

    hard = ""

    def cells(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> overlap.Cells:
        """The sigmoid of each logit against its target."""
        return torch.sigmoid(logits), target, valid


class Dice(overlap.Dice, OverlapLoss):
    """Soft Dice loss: the mean over cells of 1 - (2 I + s) / (P + T + s).

    I: sum of p y over the cell. P: sum of p. T: sum of y. s: `smooth`. p: sigmoid of the logit. y: target. What a
    cell is, and what one without foreground costs: `OverlapLoss`. Shapes and errors: `BinaryLoss`.

    As cells with T = 0 have their own expression, P + T >= 1 here, and no smoothing is needed: the default is 0. A
    larger one hides small lesions: with s = 1 a lesion of 3 pixels, all missed, costs as little as .75 instead of 1.

    Source: Milletari et al., V-Net, 2016, with plain instead of squared sums in the denominator. On empty targets:
    Tilborghs et al., The Dice loss in the context of missing or empty labels, 2022, who use a large smoothing for them.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
        smooth: s, in pixels, at least 0.

    Example:
        >>> target = torch.tensor([[[[1, 0], [0, 0]]]])
        >>> missed, found = torch.full((2, 1, 1, 2, 2), -20.0)
        >>> found[0, 0, 0, 0] = 20.0
        >>> Dice()(missed, target), Dice()(found, target)
        (tensor(1.), tensor(0.))
    """


class Jaccard(OverlapLoss):
    """Soft Jaccard loss, or IoU loss: the mean over cells of 1 - (I + s) / (P + T - I + s).

    I: sum of p y over the cell. P: sum of p. T: sum of y. s: `smooth`. p: sigmoid of the logit. y: target. It ranks
    predictions of one image as `Dice` does, and penalises a half-found lesion more. What a cell is, and what one
    without foreground costs: `OverlapLoss`. Shapes and errors: `BinaryLoss`. No smoothing is needed, see `Dice`.

    Source: Rahman & Wang, Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation, 2016.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
        smooth: s, in pixels, at least 0.

    Example:
        >>> Jaccard()(torch.zeros(1, 1, 2, 2), torch.tensor([[[[1, 1], [0, 0]]]]))
        tensor(0.6667)
    """

    def __init__(self, per: str = "image", smooth: float = 0.0) -> None:
        super().__init__(per)
        self.smooth = number("smooth", smooth, 0.0, inf, overlap.SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (I + s) / (P + T - I + s)."""
        return functional.jaccard(counts, self.smooth)


class Tversky(overlap.Tversky, OverlapLoss):
    """Tversky loss: the mean over cells of 1 - (I + s) / (I + alpha FP + beta FN + s).

    I: sum of p y over the cell. FP: sum of p (1 - y), the false positives. FN: sum of (1 - p) y, the false negatives.
    s: `smooth`. p: sigmoid of the logit. y: target. With beta above alpha, missing a lesion costs more than overdrawing
    it. Alpha = beta = 0.5 is `Dice` (with s of half the size), alpha = beta = 1 is `Jaccard`. What a cell is, and what
    one without foreground costs: `OverlapLoss`. Shapes and errors: `BinaryLoss`. No smoothing is needed, see `Dice`.

    Source: Salehi et al., Tversky Loss Function for Image Segmentation, 2017.

    Args:
        alpha: weight of the false positives, above 0.
        beta: weight of the false negatives, above 0.
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
        smooth: s, in pixels, at least 0.

    Example:
        >>> Tversky(alpha=0.3, beta=0.7)(torch.zeros(1, 1, 2, 2), torch.tensor([[[[1, 1], [0, 0]]]]))
        tensor(0.5000)
    """


class FocalTversky(Tversky):
    """Focal Tversky loss: the mean over cells of (1 - t)^(1 / gamma), with t the Tversky index.

    1 - t is the cost of a cell in `Tversky`, with the same symbols. With gamma above 1, cells that are nearly right
    (t near 1) keep a strong gradient; gamma = 1 is `Tversky`. A perfect cell has the gradient 0, where the equation's
    own would be infinite. Shapes and errors: `BinaryLoss`.

    Source: Abraham & Khan, A Novel Focal Tversky Loss Function with Improved Attention U-Net for Lesion Segmentation,
    2019, who call the weight of false negatives alpha, and tried gammas from 1 to 3.

    Args:
        alpha: weight of the false positives, above 0.
        beta: weight of the false negatives, above 0.
        gamma: focusing, above 0.
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
        smooth: s, in pixels, at least 0.

    Example:
        >>> FocalTversky(gamma=2)(torch.zeros(1, 1, 2, 2), torch.tensor([[[[1, 1], [0, 0]]]]))
        tensor(0.7071)
    """

    def __init__(
        self, alpha: float = 0.3, beta: float = 0.7, gamma: float = 4 / 3, per: str = "image", smooth: float = 0.0
    ) -> None:
        super().__init__(alpha, beta, per, smooth)
        self.gamma = inside("gamma", gamma, 0.0, inf, {0.0: "mean the power 1 / 0"}, "1 is tversky, 4/3 is usual")

    def cell(self, counts: Overlap) -> Tensor:
        """(1 - t)^(1 / gamma)."""
        return functional.power(super().cell(counts), 1 / self.gamma)


class Lovasz(overlap.Lovasz, OverlapLoss):
    """Lovasz hinge: the mean over cells of the Lovasz extension of the Jaccard loss, at the hinge errors.

    Over a cell: sum over i of max(e_i, 0) (J_i - J_{i-1}). e: the errors 1 - s z, from large to small, with z the logit
    and s = 1 for y = 1, -1 for y = 0. J_i: the Jaccard loss 1 - IoU of a prediction that has the i worst pixels wrong
    and all others right. Thus the IoU itself is trained, not a soft count. Most of the time goes into sorting.

    What a cell is: `OverlapLoss`. A cell without foreground costs log(1 + P) / log(1 + n) as in all losses on overlap;
    the Lovasz hinge itself would penalise only the single worst pixel there. Shapes and errors: `BinaryLoss`.

    Source: Berman et al., The Lovasz-Softmax Loss, 2018.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.

    Example:
        >>> Lovasz()(torch.tensor([[[[2.0, 2.0, -2.0]]]]), torch.tensor([[[[1, 0, 0]]]]))
        tensor(1.5000)
    """

    hard = "it is the Lovasz extension of a function of the set of wrong pixels, and a pixel is in it or not"

    def values(self, logits: Tensor, probability: Tensor) -> Tensor:
        """The logits."""
        return logits

    def error(self, values: Tensor, target: Tensor) -> Tensor:
        """1 - s z."""
        return 1 - values * (2 * target - 1)
