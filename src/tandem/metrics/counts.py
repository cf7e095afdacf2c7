"""True and false positives at every threshold, and metrics computed from them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tandem.metrics.overlap import dice_parts


class Counts(NamedTuple):
    """Counts of pixels (or rows) at T thresholds; leading dimensions are images, classes, samples.

    Attributes:
        tp: (..., T) positives with `p >= threshold`.
        fp: (..., T) negatives with `p >= threshold`.
        positives: (..., 1).
        negatives: (..., 1).
    """

    tp: Tensor
    fp: Tensor
    positives: Tensor
    negatives: Tensor

    def summed(self) -> "Counts":
        """Sums over the first dimension."""
        return Counts(*(part.sum(0) for part in self))

    def weighted(self, weights: Tensor) -> "Counts":
        """Sums over the first dimension, M images, with (R, M) weights: R samples in its place, float64, exact."""
        return Counts(*(torch.tensordot(weights, part.double(), 1) for part in self))


def dice(counts: Counts) -> Tensor:
    """2 TP / (2 TP + FP + FN)."""
    return _ratio(*dice_parts(counts.tp, counts.tp + counts.fp, counts.positives), counts.positives)


def iou(counts: Counts) -> Tensor:
    """TP / (TP + FP + FN)."""
    return _ratio(counts.tp, counts.fp + counts.positives, counts.positives)


def fbeta(counts: Counts, beta: float) -> Tensor:
    """(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP): recall weighs b times as much as precision.

    Source: van Rijsbergen, Information Retrieval, 1979.
    """
    square = beta * beta
    part = (1 + square) * counts.tp
    return _ratio(part, counts.tp + counts.fp + square * counts.positives, counts.positives)


def recall(counts: Counts) -> Tensor:
    """TP / (TP + FN), also called sensitivity."""
    return _ratio(counts.tp, counts.positives.expand_as(counts.tp), counts.positives)


def precision(counts: Counts) -> Tensor:
    """TP / (TP + FP), also called positive predictive value."""
    return _ratio(counts.tp, counts.tp + counts.fp, counts.tp + counts.fp)


def specificity(counts: Counts) -> Tensor:
    """TN / (TN + FP)."""
    return _ratio(counts.negatives - counts.fp, counts.negatives.expand_as(counts.fp), counts.negatives)


def youden(counts: Counts) -> Tensor:
    """Sensitivity + specificity - 1 (Youden, Index for rating diagnostic tests, 1950), as one ratio."""
    area = counts.positives * counts.negatives
    part = counts.tp * counts.negatives - counts.fp * counts.positives  # whole numbers, so that ties are ties
    return _ratio(part, area.expand_as(part), area)


MEASURES: dict[str, Callable[[Counts], Tensor]] = {
    "dice": dice,
    "f1": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
    "sensitivity": recall,
    "specificity": specificity,
    "youden": youden,
}
"""Metrics that need only counts, by logged name."""


def _ratio(part: Tensor, whole: Tensor, known: Tensor) -> Tensor:
    """`part / whole` in float64; nan where `known` is 0."""
    nan = torch.full_like(whole, torch.nan, dtype=torch.float64)
    return torch.where(known > 0, part.double() / whole.double().clamp(min=1), nan)
