"""Areas under curves from histograms: memory that does not grow with the number of pixels."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from tandem.metrics import zoom

MISSING = 255


class BinnedCounts(Metric):
    """Base of metrics of yes/no questions that need only histograms of the probabilities.

    State: 128 000 counts (1 MB) for each channel, for any number of pixels, summed over ranks; see
    `tandem.metrics.zoom`. Two probabilities share a bin only if they differ by less than 1/64 of the span of the
    probabilities in their cell, which is at most 1/8 of the distance to the nearer of 0 and 1. If a probability with a
    known target is nan, the value is nan.

    Shapes:
        probabilities: (N, C) or (N, C, *spatial), float in [0, 1].
        target: the same shape; 0, 1, or 255 where it is missing.
    """

    full_state_update = False
    state: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.for_channels(1)

    def for_channels(self, channels: int) -> None:
        """Reset the state for this number of channels, which the task sets."""
        self.add_state("state", zoom.empty(channels), zoom.merged)

    def counts_key(self) -> int:
        """Number of channels: all of these metrics count alike."""
        return len(self.state)

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        self.state = zoom.added(self.state, probabilities, target)

    def counts(self) -> tuple[Tensor, Tensor]:
        """Positives and negatives from the highest bin to the lowest, (C, bins) float64; nan if a probability is."""
        counts = self.state[..., zoom.EXTREMES :].double()
        undefined = counts[:, zoom.NAN].sum(1) > 0
        sides = counts[:, : zoom.NAN].reshape(len(counts), zoom.NAN, 2, zoom.BINS).unbind(2)
        positives, negatives = (side.flatten(1).flip(1).masked_fill(undefined[:, None], torch.nan) for side in sides)
        return positives, negatives


def by_channel(values: Tensor) -> Tensor:
    """(C,) unchanged, or a scalar if C is 1, since a single question is logged without a name."""
    return values[0] if len(values) == 1 else values


class BinnedAUROC(BinnedCounts):
    """Area under the ROC curve: the probability that a positive has a higher probability than a negative, ties half.

    nan without positives or negatives. Exact except for pairs within one bin, which count as ties: with P_b and N_b
    positives and negatives in bin b, the error is at most `sum_b P_b N_b / (2 P N)`, which `error_bound` returns.

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

    def error_bound(self) -> Tensor:
        """How far the value may lie from that of the probabilities themselves; a scalar, or (C,)."""
        positives, negatives = self.counts()
        return by_channel((positives * negatives).sum(1) / (2 * positives.sum(1) * negatives.sum(1)))


class BinnedAveragePrecision(BinnedCounts):
    """Average precision: `sum_k (R_k - R_{k-1}) P_k` over the bins from high to low; nan without positives.

    R and P are recall and precision if all bins down to bin k count as yes. No interpolation. Within a bin with H
    positives and F negatives above it, the precision at a positive lies between that with all negatives first and
    `(H + P_b) / (H + P_b + F)`; the sum of these ranges over the bins, weighted by `P_b / P`, bounds the error, and
    `error_bound` returns it.

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

    def error_bound(self) -> Tensor:
        """How far the value may lie from that of the probabilities themselves; a scalar, or (C,)."""
        positives, negatives = self.counts()
        hits, alarms = positives.cumsum(1), negatives.cumsum(1)
        # sum_j (H + j) / (H + j + F + N_b) over the bin's positives j, by the digamma function
        least = positives - alarms * (torch.digamma(hits + alarms + 1) - torch.digamma(hits - positives + alarms + 1))
        most = positives * hits / (hits + alarms - negatives).clamp(min=1)
        value = positives * hits / (hits + alarms).clamp(min=1)
        error = torch.maximum(most - value, value - least)
        return by_channel(error.sum(1) / positives.sum(1))
