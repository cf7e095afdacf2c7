"""Losses for yes/no questions: a lesion mask, a diagnosis, several labels at once; see `BinaryLoss` for the shapes."""

import torch
from torch import Tensor

from tandem.errors import ConfigError
from tandem.losses import functional
from tandem.losses.checks import balance, number
from tandem.losses.composite import Composite
from tandem.losses.contract import BinaryLoss
from tandem.losses.reduce import PER, Overlap, overlap

_ANY = float("inf")
_GAMMA = "0 is plain cross-entropy, 2 is usual"


class BCE(BinaryLoss):
    """Binary cross-entropy: the mean of -y log p - (1 - y) log(1 - p) over what has a target.

    y: target, 0 or 1. p: sigmoid of the logit. Shapes and errors: `BinaryLoss`.

    Source: Good, Rational Decisions, 1952 (the logarithmic score).

    Example:
        >>> one_pixel = torch.logit(torch.tensor([[0.3]]))
        >>> BCE()(one_pixel, torch.tensor([[1]]))
        tensor(1.2040)
    """

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-y log p - (1 - y) log(1 - p)."""
        return functional.binary_cross_entropy(logits, target)


class Focal(BinaryLoss):
    """Sigmoid focal loss: the mean of -a_t (1 - p_t)^gamma log p_t over what has a target.

    p_t: probability of the right answer, p for y = 1 and 1 - p for y = 0. a_t: alpha for y = 1, 1 - alpha for y = 0.
    What is easy (p_t near 1) counts less, the more so the larger gamma is; gamma = 0 without alpha is `BCE`. Value
    and gradient are finite for every gamma, also where p_t rounds to 1. Shapes and errors: `BinaryLoss`.

    Source: Lin et al., Focal Loss for Dense Object Detection (RetinaNet), 2017. There the sum is divided by the
    number of anchors on an object; here by the number of elements with a target, as is usual for masks.

    Args:
        gamma: focusing, at least 0.
        alpha: weight of the positives, inside (0, 1); None for no balancing. 0 and 1 would silence one side and are
            refused with `tandem.errors.ConfigError`.

    Example:
        >>> one_pixel = torch.logit(torch.tensor([[0.3]]))
        >>> Focal(gamma=2, alpha=0.25)(one_pixel, torch.tensor([[1]]))
        tensor(0.1475)
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        self.gamma = number("gamma", gamma, 0.0, _ANY, _GAMMA)
        self.alpha = balance(alpha)

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-a_t (1 - p_t)^gamma log p_t."""
        return functional.sigmoid_focal(logits, target, self.gamma, self.alpha)


class BCEFocal(Composite):
    """Binary cross-entropy and focal loss together: total = bce_weight * BCE + focal_weight * Focal.

    The cross-entropy keeps every pixel in play, the focal term adds weight to the hard ones. The call gives the terms
    `bce` and `focal`, unweighted (see `Composite`); the weights are used as they are, not normalised. Shapes and
    errors: `BinaryLoss`.

    Source: the `CombinedLoss` of common segmentation code; its `alpha=1`, a plain factor there, is None here.

    Args:
        alpha: balance of the focal term, as in `Focal`.
        gamma: focusing of the focal term, as in `Focal`.
        bce_weight: weight of the cross-entropy, at least 0.
        focal_weight: weight of the focal loss, at least 0.

    Example:
        >>> loss = BCEFocal(gamma=2)
        >>> {name: round(term.item(), 4) for name, term in loss(torch.zeros(1, 1), torch.ones(1, 1)).items()}
        {'bce': 0.6931, 'focal': 0.1733}
        >>> loss.weights
        {'bce': 0.5, 'focal': 0.5}
    """

    def __init__(
        self, alpha: float | None = None, gamma: float = 3.0, bce_weight: float = 0.5, focal_weight: float = 0.5
    ) -> None:
        weights = {
            "bce": number("bce_weight", bce_weight, 0.0, _ANY, "use 0 or more"),
            "focal": number("focal_weight", focal_weight, 0.0, _ANY, "use 0 or more"),
        }
        super().__init__({"bce": BCE(), "focal": Focal(gamma, alpha)}, weights)


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
        if per not in PER:
            raise ConfigError(f"per = {per!r} is unknown; use {' or '.join(PER)}")
        self.per = per

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
        self.smooth = number("smooth", smooth, 0.0, _ANY, "use 0, or a fraction of a small lesion's pixels")

    def cell(self, counts: Overlap) -> Tensor:
        """1 - (2 I + s) / (P + T + s)."""
        return functional.dice(counts, self.smooth)
