"""Area under curves from histograms: memory that does not grow with the number of pixels."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

MISSING = 255

_MANTISSA = 16
"""Trailing bits of a float32 that a bin ignores: bins are 1/128 wide relative to the distance to 0 or 1."""

_LOWEST = 0x33800000 >> _MANTISSA  # 2^-24; values nearer to 0 or 1 fall into the outermost bin
_MIDDLE = (0x3F000000 >> _MANTISSA) - _LOWEST  # 0.5
BINS = 2 * _MIDDLE + 1


def bin_of(probabilities: Tensor) -> Tensor:
    """Index of each probability's bin, increasing with the probability; bins are finest near 0 and 1.

    Args:
        probabilities: float32 in [0, 1], any shape.

    Returns:
        int64 in [0, BINS), the same shape.

    Example:
        >>> low, middle, high = bin_of(torch.tensor([0.0, 0.5, 1.0])).tolist()
        >>> (low, high == BINS - 1, middle == BINS // 2)
        (0, True, True)
    """
    near = torch.minimum(probabilities, 1 - probabilities)
    depth = ((near.contiguous().view(torch.int32) >> _MANTISSA) - _LOWEST).clamp(0, _MIDDLE)
    return torch.where(probabilities <= 0.5, depth, BINS - 1 - depth).long()


class BinnedCounts(Metric):
    """Base of metrics of yes/no questions that need only histograms of the probabilities.

    State: two histograms for each channel, for any number of pixels; they are summed over ranks.

    Shapes:
        probabilities: (N, C) or (N, C, *spatial), float in [0, 1].
        target: the same shape; 0, 1, or 255 where it is missing.
    """

    full_state_update = False
    positives: Tensor
    negatives: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.for_channels(1)

    def for_channels(self, channels: int) -> None:
        """Reset the state for this number of channels, which the task sets."""
        self.add_state("positives", torch.zeros(channels, BINS, dtype=torch.int64), "sum")
        self.add_state("negatives", torch.zeros(channels, BINS, dtype=torch.int64), "sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        channel = torch.arange(len(self.positives), device=target.device).view(1, -1, *[1] * (target.ndim - 2))
        place = bin_of(probabilities.float()) + channel * BINS
        self.positives = self.positives + _count(place, target == 1, self.positives)
        self.negatives = self.negatives + _count(place, target == 0, self.negatives)

    def counts(self) -> tuple[Tensor, Tensor]:
        """Positives and negatives from the highest bin to the lowest, (C, BINS) float64."""
        return self.positives.flip(1).double(), self.negatives.flip(1).double()


def _count(place: Tensor, counted: Tensor, like: Tensor) -> Tensor:
    found = torch.zeros_like(like).flatten()
    return found.index_add_(0, place.flatten(), counted.flatten().to(found.dtype)).view_as(like)  # no synchronisation


def by_channel(values: Tensor) -> Tensor:
    """(C,) unchanged, or a scalar if C is 1, since a single question is logged without a name."""
    return values[0] if len(values) == 1 else values


class BinnedAUROC(BinnedCounts):
    """Area under the ROC curve: the probability that a positive has a higher probability than a negative, ties half.

    Exact except for pairs within one bin, which count as ties; see `bin_of`. nan without positives or negatives.

    Source: Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve, 1982.

    Example:
        >>> metric = BinnedAUROC()
        >>> metric.update(torch.tensor([[0.9], [0.4], [0.6], [0.1]]), torch.tensor([[1], [1], [0], [0]]))
        >>> metric.compute()
        tensor(0.7500)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """A scalar, or (C,)."""
        positives, negatives = self.counts()
        below = negatives.sum(1, keepdim=True) - negatives.cumsum(1)
        wins = (positives * (below + negatives / 2)).sum(1)
        return by_channel((wins / (positives.sum(1) * negatives.sum(1))).float())


class BinnedAveragePrecision(BinnedCounts):
    """Average precision: `sum_k (R_k - R_{k-1}) P_k` over the bins from high to low; nan without positives.

    R and P are recall and precision if all bins down to bin k count as yes. No interpolation.

    Example:
        >>> metric = BinnedAveragePrecision()
        >>> metric.update(torch.tensor([[0.9], [0.4], [0.6], [0.1]]), torch.tensor([[1], [1], [0], [0]]))
        >>> metric.compute()
        tensor(0.8333)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """A scalar, or (C,)."""
        positives, negatives = self.counts()
        hits = positives.cumsum(1)
        precision = hits / (hits + negatives.cumsum(1)).clamp(min=1)
        return by_channel(((positives * precision).sum(1) / positives.sum(1)).float())
