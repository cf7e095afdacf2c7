"""Binary losses on overlap: each image or batch as a whole, so that a large background does not rule."""

from math import inf

import torch
from torch import Tensor

from tandem.losses import functional
from tandem.losses.contract import BinaryLoss
from tandem.losses.reduce import Overlap, overlap
from tandem.losses.validation import inside, number, pooling

_SMOOTH = "use 0, or a fraction of a small lesion's pixels"
_ALPHA = {0.0: "let false positives cost nothing, so that all lesion would be perfect"}
_BETA = {0.0: "let false negatives cost nothing, so that nearly no lesion would be perfect"}


class OverlapLoss(BinaryLoss):
    """Base of the losses on overlap, Dice and its kin: the mean over cells of `cell`.

    A cell is one channel of one image, or of the whole batch. A cell without any target is left out of the mean. A
    cell whose target is empty (T = 0) costs log(1 + P) / log(1 + n) instead, with P the sum of the probabilities and
    n the number of pixels with a target: 0 for an empty prediction, and a push on every false positive.
    `functional.empty` says why.

    Args:
        per: `"image"`: each image counts alike, however small its lesion. `"batch"`: the pixels of all images are
            counted together, so large lesions rule, and the value depends on the batch; for flat (N, C) logits take
            this one, as an image has only one element there.

    Raises:
        tandem.errors.ConfigError: for another `per`; when called, see `BinaryLoss`.
    """

    def __init__(self, per: str = "image") -> None:
        super().__init__()
        self.per = pooling(per)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Count each cell, and average."""
        return functional.overlap_mean(overlap(torch.sigmoid(logits), target, valid, self.per), self.cell)

    def cell(self, counts: Overlap) -> Tensor:
        """The loss of each cell with foreground (T >= 1), in the shape of the counts."""
        raise NotImplementedError(f"{type(self).__name__} needs `cell`")


class Dice(OverlapLoss):
    """Soft Dice loss: the mean over cells of 1 - (2 I + s) / (P + T + s).

    I: sum of p y over the cell. P: sum of p. T: sum of y. s: `smooth`. p: sigmoid of the logit. y: target. What a
    cell is, and what one without foreground costs: `OverlapLoss`. Shapes and errors: `BinaryLoss`.

    As cells with T = 0 have their own expression, P + T >= 1 here, and no smoothing is needed: the default is 0. A
    larger one hides small lesions: with s = 1 a lesion of 3 pixels, all missed, costs as little as .75 instead of 1.

    Source: Milletari et al., V-Net, 2016, with plain instead of squared sums below. On empty targets: Tilborghs et
    al., The Dice loss in the context of missing or empty labels, 2022, who let a large smoothing do that work.

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

    def __init__(self, per: str = "image", smooth: float = 0.0) -> None:
        super().__init__(per)
        self.smooth = number("smooth", smooth, 0.0, inf, _SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (2 I + s) / (P + T + s)."""
        return functional.dice(counts, self.smooth)


class Jaccard(OverlapLoss):
    """Soft Jaccard loss, or IoU loss: the mean over cells of 1 - (I + s) / (P + T - I + s).

    I: sum of p y over the cell. P: sum of p. T: sum of y. s: `smooth`. p: sigmoid of the logit. y: target. It orders
    predictions of one image as `Dice` does, and is the harsher on a half-found lesion. What a cell is, and what one
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
        self.smooth = number("smooth", smooth, 0.0, inf, _SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (I + s) / (P + T - I + s)."""
        return functional.jaccard(counts, self.smooth)


class Tversky(OverlapLoss):
    """Tversky loss: the mean over cells of 1 - (I + s) / (I + alpha FP + beta FN + s).

    I: sum of p y over the cell. FP: sum of p (1 - y), what is falsely found. FN: sum of (1 - p) y, what is missed. s:
    `smooth`. p: sigmoid of the logit. y: target. With beta above alpha, missing a lesion costs more than overdrawing
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

    def __init__(self, alpha: float = 0.3, beta: float = 0.7, per: str = "image", smooth: float = 0.0) -> None:
        super().__init__(per)
        self.alpha = inside("alpha", alpha, 0.0, inf, _ALPHA, "0.5 with beta = 0.5 is Dice, 0.3 is usual")
        self.beta = inside("beta", beta, 0.0, inf, _BETA, "0.5 with alpha = 0.5 is Dice, 0.7 is usual")
        self.smooth = number("smooth", smooth, 0.0, inf, _SMOOTH)

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (I + s) / (I + alpha FP + beta FN + s)."""
        return functional.tversky(counts, self.alpha, self.beta, self.smooth)


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


class Lovasz(OverlapLoss):
    """Lovasz hinge: the mean over cells of the Lovasz extension of the Jaccard loss, at the hinge errors.

    Over a cell: sum over i of max(e_i, 0) (J_i - J_{i-1}). e: the errors 1 - s z, from large to small, with z the logit
    and s = 1 for y = 1, -1 for y = 0. J_i: the Jaccard loss 1 - IoU of a prediction that has the i worst pixels wrong
    and all others right. Thus the IoU itself is trained, not a soft count. Most of the time goes into sorting.

    What a cell is: `OverlapLoss`. A cell without foreground costs log(1 + P) / log(1 + n) as in all losses on overlap;
    the Lovasz hinge itself would there push on the single worst pixel only. Shapes and errors: `BinaryLoss`.

    Source: Berman et al., The Lovasz-Softmax Loss, 2018.

    Args:
        per: `"image"` or `"batch"`, as in `OverlapLoss`.

    Example:
        >>> Lovasz()(torch.tensor([[[[2.0, 2.0, -2.0]]]]), torch.tensor([[[[1, 0, 0]]]]))
        tensor(1.5000)
    """

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """Sort each cell, and average."""
        costs = functional.lovasz(logits, target, valid, self.per, lambda z, y: 1 - z * (2 * y - 1))
        return functional.overlap_mean(overlap(torch.sigmoid(logits), target, valid, self.per), lambda _: costs)
