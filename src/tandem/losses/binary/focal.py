"""Binary losses that are computed for each pixel separately, with more weight on hard pixels."""

from math import inf

from torch import Tensor

from tandem.losses import functional
from tandem.losses.binary.pixels import BCE
from tandem.losses.composite import Composite
from tandem.losses.contract import BinaryLoss
from tandem.losses.validation import balance, inside, number

_GAMMA = "0 is plain cross-entropy, 2 is usual"


class Focal(BinaryLoss):
    """Sigmoid focal loss: the mean of -a_t (1 - p_t)^gamma log p_t over what has a target.

    p_t: probability of the right answer, p for y = 1 and 1 - p for y = 0. a_t: alpha for y = 1, 1 - alpha for y = 0.
    Easy pixels (p_t near 1) have less weight, the less the larger gamma is; gamma = 0 without alpha is `BCE`. Value
    and gradient are finite for every gamma, also where p_t rounds to 1. Shapes and errors: `BinaryLoss`.

    Soft targets y in [0, 1]: the mean of -a |y - p|^gamma (y log p + (1 - y) log(1 - p)), which is the same for y = 0
    and 1; a = alpha y + (1 - alpha) (1 - y) (quality focal loss: Li et al., Generalized Focal Loss, 2020). It is 0 at
    p = y for gamma above 0.

    Source: Lin et al., Focal Loss for Dense Object Detection (RetinaNet), 2017. There the sum is divided by the
    number of anchors on an object; here by the number of elements with a target, as is usual for masks.

    Args:
        gamma: focusing, at least 0.
        alpha: weight of the positives, inside (0, 1); None for no balancing. 0 and 1 would ignore one side and raise
            `tandem.errors.ConfigError`.

    Example:
        >>> import torch
        >>> one_pixel = torch.logit(torch.tensor([[0.3]]))
        >>> Focal(gamma=2, alpha=0.25)(one_pixel, torch.tensor([[1]]))
        tensor(0.1475)
    """

    hard = ""

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        self.gamma = number("gamma", gamma, 0.0, inf, _GAMMA)
        self.alpha = None if alpha is None else balance(alpha)

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-a_t (1 - p_t)^gamma log p_t."""
        if self.fractional:
            return functional.quality_focal(logits, target, self.gamma, self.alpha)
        return functional.sigmoid_focal(logits, target, self.gamma, self.alpha)


class BCEFocal(Composite):
    """Binary cross-entropy and focal loss together: total = bce_weight * BCE + focal_weight * Focal.

    The cross-entropy gives every pixel a gradient, the focal term adds weight to the hard ones. The call returns the
    terms `bce` and `focal`, unweighted (see `Composite`); the weights are used as they are, not normalised. Shapes and
    errors: `BinaryLoss`.

    Source: the `CombinedLoss` of common segmentation code; its `alpha=1`, a plain factor there, is None here.

    Args:
        alpha: balance of the focal term, as in `Focal`.
        gamma: focusing of the focal term, as in `Focal`.
        bce_weight: weight of the cross-entropy, at least 0.
        focal_weight: weight of the focal loss, at least 0.

    Example:
        >>> import torch
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
            "bce": number("bce_weight", bce_weight, 0.0, inf, "use 0 or more"),
            "focal": number("focal_weight", focal_weight, 0.0, inf, "use 0 or more"),
        }
        super().__init__({"bce": BCE(), "focal": Focal(gamma, alpha)}, weights)


class Asymmetric(BinaryLoss):
    """Asymmetric loss (ASL): the mean of -(1 - p)^g_pos log p for y = 1 and -q^g_neg log(1 - q) for y = 0.

    p: sigmoid of the logit. q: max(p - clip, 0). y: target. g_pos, g_neg: `gamma_pos`, `gamma_neg`. A focal loss that
    reduces the weight of the many easy negatives more than that of the few positives, and ignores a negative once p is
    at most `clip`. Without `clip` and with equal gammas it is `Focal`. Value and gradient are finite for all gammas.
    Shapes and errors: `BinaryLoss`.

    Source: Ridnik et al., Asymmetric Loss for Multi-Label Classification, 2021. There the sum over classes; here the
    mean over what has a target.

    Args:
        gamma_pos: focusing of the positives, at least 0.
        gamma_neg: focusing of the negatives, at least 0.
        clip: probability up to which a negative has the loss 0, in [0, 1); 0 for none.

    Example:
        >>> import torch
        >>> Asymmetric()(torch.zeros(1, 1), torch.tensor([[1]])), Asymmetric()(torch.zeros(1, 1), torch.tensor([[0]]))
        (tensor(0.3466), tensor(0.0245))
    """

    hard = "positives and negatives have exponents of their own, and a value between has none"

    def __init__(self, gamma_pos: float = 1.0, gamma_neg: float = 4.0, clip: float = 0.05) -> None:
        super().__init__()
        self.gamma_pos = number("gamma_pos", gamma_pos, 0.0, inf, "0 is plain cross-entropy, 1 is usual")
        self.gamma_neg = number("gamma_neg", gamma_neg, 0.0, inf, "0 is plain cross-entropy, 4 is usual")
        self.clip = inside("clip", clip, 0.0, 1.0, {1.0: "give every negative the loss 0"}, "0 is none, 0.05 is usual")

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-(1 - p)^g_pos log p, or -q^g_neg log(1 - q)."""
        return functional.asymmetric(logits, target, self.gamma_pos, self.gamma_neg, self.clip)
