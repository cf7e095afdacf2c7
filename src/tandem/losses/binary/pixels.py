"""Binary losses that are computed for each pixel separately, without more weight on hard pixels."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tandem.errors import ConfigError, DataError
from tandem.losses import functional
from tandem.losses.contract import BinaryLoss
from tandem.losses.data_dependent import DataDependentLoss
from tandem.losses.validation import balance


class BCE(BinaryLoss):
    """Binary cross-entropy: the mean of -y log p - (1 - y) log(1 - p) over what has a target.

    y: target, in [0, 1]. p: sigmoid of the logit. Shapes and errors: `BinaryLoss`.

    Source: Good, Rational Decisions, 1952 (the logarithmic score).

    Example:
        >>> one_pixel = torch.logit(torch.tensor([[0.3]]))
        >>> BCE()(one_pixel, torch.tensor([[1]]))
        tensor(1.2040)
    """

    hard = ""

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-y log p - (1 - y) log(1 - p)."""
        return functional.binary_cross_entropy(logits, target)


class BalancedBCE(BinaryLoss, DataDependentLoss):
    """Balanced cross-entropy: the mean of -beta y log p - (1 - beta) (1 - y) log(1 - p) over what has a target.

    y: target, 0 or 1. p: sigmoid of the logit. beta: weight of the positives. With beta = the share of background
    pixels, lesion and background have the same total weight, however small the lesion is. beta = 0.5 is half of `BCE`.
    Shapes and errors: `BinaryLoss`.

    Source: Xie & Tu, Holistically-Nested Edge Detection (HED), 2015; there the sum over an image whose own background
    share is beta, here the mean, with one beta for all.

    Args:
        beta: weight of the positives, inside (0, 1): the *background* share of the training masks, such as 0.9 if
            lesions cover a tenth. 0 and 1 would ignore one side and raise `tandem.errors.ConfigError`.
            `auto`: that share, over all known pixels of the training masks and all channels, once `resolve` was called.

    Attributes:
        beta: read in every call.

    Example:
        >>> one_pixel = torch.logit(torch.tensor([[0.3]]))
        >>> BalancedBCE(beta=0.89)(one_pixel, torch.tensor([[1]]))
        tensor(1.0715)
    """

    hard = "beta balances the numbers of pixels that are lesion and background"

    beta: float | Tensor | None

    def __init__(self, beta: float | Literal["auto"] = 0.9) -> None:
        super().__init__()
        if beta == "auto":
            self.defer("beta")
        elif isinstance(beta, str):
            raise ConfigError(f"beta = {beta!r} is unknown; use auto or a value inside (0, 1)")
        else:
            self.beta = balance(beta, "beta")

    def from_counts(self, counts: Tensor, names: Sequence[str]) -> tuple[Tensor, dict[str, float]]:
        """The share of the negatives."""
        no, yes = counts.sum(0).tolist()
        if 0 in (no, yes):
            absent = "foreground" if no else "background"
            raise DataError(f"beta is auto, but the training masks have no {absent}; give a value inside (0, 1)")
        beta = no / (no + yes)
        return torch.tensor(beta), {"beta": beta}

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-beta y log p - (1 - beta) (1 - y) log(1 - p)."""
        beta = self.resolved("beta") if self.deferred or self.beta is None else self.beta
        return functional.weigh(functional.binary_cross_entropy(logits, target), target, beta)


class Brier(BinaryLoss):
    """Brier score: the mean of (p - y)^2 over what has a target, the squared error of the probability.

    p: sigmoid of the logit. y: target, in [0, 1]. Like the cross-entropy it is a proper score, but a pixel costs at
    most 1, so a wrong mask has less influence; a confidently wrong pixel has nearly no gradient. Shapes and errors:
    `BinaryLoss`.

    Source: Brier, Verification of Forecasts Expressed in Terms of Probability, 1950.

    Example:
        >>> Brier()(torch.zeros(1, 1), torch.tensor([[1]]))
        tensor(0.2500)
    """

    hard = ""

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """(p - y)^2."""
        return F.mse_loss(torch.sigmoid(logits), target, reduction="none")


class Hinge(BinaryLoss):
    """Hinge loss: the mean of max(0, 1 - s z) over what has a target.

    z: logit. s: 1 for y = 1 and -1 for y = 0 (the target itself stays 0 or 1). An answer that is right by a margin of 1
    has the loss 0 and no gradient; the probabilities are thus not calibrated. Shapes and errors: `BinaryLoss`.

    Source: Cortes & Vapnik, Support-Vector Networks, 1995.

    Example:
        >>> Hinge()(torch.tensor([[0.25], [3.0]]), torch.tensor([[1], [1]]))
        tensor(0.3750)
    """

    hard = "the margin is on one of two sides"

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """max(0, 1 - s z)."""
        return torch.relu(1 - logits * (2 * target - 1))
