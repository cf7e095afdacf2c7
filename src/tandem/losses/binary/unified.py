"""The unified focal loss and its two terms."""

import torch
from torch import Tensor

from tandem.losses import functional
from tandem.losses.composite import Composite
from tandem.losses.contract import BinaryLoss
from tandem.losses.reduce import Overlap, overlap
from tandem.losses.validation import balance, inside, number, pooling


class UnifiedFocal(Composite):
    """Unified focal loss: total = weight * focal + (1 - weight) * tversky, with one delta and one gamma for both.

    focal: the mean over what has a target of -delta y log p - (1 - delta) (1 - y) p^gamma log(1 - p). tversky: the mean
    over cells of (b + f) / 2, with f = (1 - t_1)^(1 - gamma) and b = 1 - t_0; t_1 and t_0 are the Tversky indices of
    foreground and background, I / (I + delta FN + (1 - delta) FP), each taken as the foreground in turn.

    p: sigmoid of the logit. y: target. That is the asymmetric form, which the paper finds best: gamma gives less weight
    to easy background pixels, and more to nearly right foreground. In the symmetric form both sides get the gamma: the
    positives' cross-entropy times (1 - p)^gamma, and b = (1 - t_0)^(1 - gamma).

    The call returns the terms `focal` and `tversky`, unweighted (see `Composite`). What a cell is, and the loss of one
    without foreground or background: `OverlapLoss`. Limits: gamma = 0 is the cross-entropy, weighted by delta, plus
    `Tversky` on both sides; with delta = 0.5 half of `BCE`, plus `Dice` on both sides. Shapes and errors: `BinaryLoss`.

    Source: Yeung et al., Unified Focal Loss: Generalising Dice and Cross Entropy-Based Losses to Handle Class
    Imbalanced Medical Image Segmentation, 2022, with `weight` as in its equations (its code gives it to the other
    term), and sides that are averaged in the Tversky term and added in the focal one, as in its code.

    Args:
        weight: lambda, the share of the focal term, in [0, 1].
        delta: weight of the foreground pixels, and of the false negatives, inside (0, 1).
        gamma: focusing, in [0, 1).
        asymmetric: whether gamma is not applied to the foreground pixels and the background's overlap.
        per: `"image"` or `"batch"`, as in `OverlapLoss`.

    Example:
        >>> import torch
        >>> terms = UnifiedFocal()(torch.zeros(1, 1, 2, 2), torch.tensor([[[[1, 0], [0, 0]]]]))
        >>> {name: round(term.item(), 4) for name, term in terms.items()}
        {'focal': 0.251, 'tversky': 0.6124}
    """

    def __init__(
        self,
        weight: float = 0.5,
        delta: float = 0.6,
        gamma: float = 0.5,
        asymmetric: bool = True,
        per: str = "image",
    ) -> None:
        share = number("weight", weight, 0.0, 1.0, "0 is the tversky term alone, 1 the focal term alone")
        terms = {
            "focal": SideFocal(delta, gamma, asymmetric),
            "tversky": TwoSidedTversky(delta, gamma, asymmetric, per),
        }
        super().__init__(terms, {"focal": share, "tversky": 1 - share})


def _gamma(value: object) -> float:
    return inside("gamma", value, 0.0, 1.0, {1.0: "leave the overlap without a gradient"}, "0 is none, 0.5 is usual")


class SideFocal(BinaryLoss):
    """The `focal` term of `UnifiedFocal`, with its equation and symbols. Shapes and errors: `BinaryLoss`.

    Args:
        delta: weight of the positives, inside (0, 1).
        gamma: focusing, in [0, 1).
        asymmetric: whether only negatives are focused.
    """

    def __init__(self, delta: float, gamma: float, asymmetric: bool) -> None:
        super().__init__()
        self.delta = balance(delta, "delta")
        self.gamma = _gamma(gamma)
        self.asymmetric = asymmetric

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """-delta y log p - (1 - delta) (1 - y) p^gamma log(1 - p)."""
        gamma = self.gamma * (1 - target) if self.asymmetric else self.gamma
        return functional.sigmoid_focal(logits, target, gamma, self.delta)


class TwoSidedTversky(BinaryLoss):
    """The `tversky` term of `UnifiedFocal`, with its equation and symbols. Shapes and errors: `BinaryLoss`.

    Args:
        delta: weight of the false negatives, inside (0, 1); false positives get the rest.
        gamma: focusing, in [0, 1).
        asymmetric: whether only the foreground's overlap is focused.
        per: `"image"` or `"batch"`, as in `OverlapLoss`.
    """

    def __init__(self, delta: float, gamma: float, asymmetric: bool, per: str) -> None:
        super().__init__()
        self.delta = balance(delta, "delta")
        self.gamma = _gamma(gamma)
        self.asymmetric = asymmetric
        self.per = pooling(per)

    @property
    def by_rows(self) -> bool:
        """Whether each image has cells of its own."""
        return self.per == "image"

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        """The mean over cells of (b + f) / 2."""
        front = overlap(torch.sigmoid(logits), target, valid, self.per)
        # Pixels that are background in both the prediction and the target.
        both = front.pixels - front.predicted - front.actual + front.intersection
        back = Overlap(both, front.pixels - front.predicted, front.pixels - front.actual, front.pixels)
        plain = 0.0 if self.asymmetric else self.gamma
        sides = [self._side(front, self.gamma), self._side(back, plain)]
        return sum(sides, start=logits.new_zeros(())) / len(sides)

    def _side(self, cells: Overlap, gamma: float) -> Tensor:
        def cost(counts: Overlap) -> Tensor:
            return functional.power(functional.tversky(counts, 1 - self.delta, self.delta), 1 - gamma)

        return functional.overlap_mean(cells, cost)
