"""Counts at every threshold, and the numbers that follow from them. Pure: nothing here remembers a batch."""

from typing import Literal

import torch
from torch import Tensor

Aggregate = Literal["global", "per_image"]


class SweepResult:
    """True and false positives of M images at T thresholds, for one yes/no question.

    A pixel counts as yes where `p >= threshold`. With TP, FP, FN at a threshold:

        dice = 2 TP / (2 TP + FP + FN),  iou = TP / (TP + FP + FN).

    *global* sums the counts over all images and divides once; *per image* is the mean of each image's own value over
    the images that have foreground. Images without foreground stand apart, as `specificity_empty`.

    Attributes:
        thresholds: (T,) ascending, float32.
        true_positives: (M, T) int64.
        false_positives: (M, T) int64.
        positives: (M,) int64, foreground pixels of each image.
    """

    # no dataclass: torchmetrics would reach into one and drop dimensions of length 1
    def __init__(self, thresholds: Tensor, true_positives: Tensor, false_positives: Tensor, positives: Tensor) -> None:
        self.thresholds = thresholds
        self.true_positives = true_positives
        self.false_positives = false_positives
        self.positives = positives

    def curve(self, aggregate: Aggregate) -> Tensor:
        """(T,) float64: Dice at each threshold; nan where no image has foreground."""
        if aggregate == "global":
            return _dice(*self._summed())
        return _mean(_dice(*self._of_lesion_images()))

    def best(self, aggregate: Aggregate, candidates: Tensor | None = None) -> int:
        """Index of the threshold with the highest Dice.

        Of equally good ones it is the nearest to 0.5, then the lower. Without any foreground no threshold is better
        than another, so it is then the nearest to 0.5.

        Args:
            aggregate: whose Dice counts.
            candidates: (T,) bool, which thresholds may be chosen; all by default.
        """
        score = torch.nan_to_num(self.curve(aggregate), nan=0.0)
        if candidates is not None:
            score = score.masked_fill(~candidates, -1.0)
        # rounded, since in float32 0.52 lies nearer to 0.5 than 0.48 does
        distance = (self.thresholds.double() - 0.5).abs().round(decimals=6)
        distance = distance.masked_fill(score < score.max(), float("inf"))
        return int(torch.argmin(distance))

    def index_of(self, threshold: float) -> int:
        """Index of a threshold that was counted.

        Raises:
            ValueError: it was not.
        """
        hits = (self.thresholds == torch.tensor(threshold, dtype=self.thresholds.dtype)).nonzero()
        if len(hits) == 0:
            raise ValueError(f"threshold {threshold:g} was not counted; add it to the thresholds of the sweep")
        return int(hits[0])

    def at(self, index: int, aggregate: Aggregate) -> dict[str, float]:
        """Every number at one threshold, by its logged name.

        Args:
            index: of the threshold.
            aggregate: whose Dice and IoU are `dice` and `iou`.

        Returns:
            `dice`, `iou` (of the aggregate), `dice_global`, `dice_lesion` and `iou_lesion` (means over images with
            foreground), `precision`, `recall` (global), `specificity_empty` (share of images without foreground where
            nothing is predicted). What cannot be known is nan.
        """
        tp, fp, fn = (counts[index] for counts in self._summed())
        lesion_tp, lesion_fp, lesion_fn = (counts[:, index] for counts in self._of_lesion_images())
        empty = self.positives == 0
        clean = (self.false_positives[empty, index] == 0).double()
        dice = {"global": _dice(tp, fp, fn), "per_image": _mean(_dice(lesion_tp, lesion_fp, lesion_fn))}
        iou = {"global": _iou(tp, fp, fn), "per_image": _mean(_iou(lesion_tp, lesion_fp, lesion_fn))}
        values = {
            "dice": dice[aggregate],
            "iou": iou[aggregate],
            "dice_global": dice["global"],
            "dice_lesion": dice["per_image"],
            "iou_lesion": iou["per_image"],
            "precision": _ratio(tp, tp + fp, tp + fp),
            "recall": _ratio(tp, tp + fn, tp + fn),
            "specificity_empty": _mean(clean),
        }
        return {name: float(value) for name, value in values.items()}

    def _summed(self) -> tuple[Tensor, Tensor, Tensor]:
        tp, fp = self.true_positives.sum(0), self.false_positives.sum(0)
        return tp, fp, self.positives.sum() - tp

    def _of_lesion_images(self) -> tuple[Tensor, Tensor, Tensor]:
        some = self.positives > 0
        tp, fp = self.true_positives[some], self.false_positives[some]
        return tp, fp, self.positives[some].unsqueeze(1) - tp


def _dice(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    return _ratio(2 * tp, 2 * tp + fp + fn, tp + fn)


def _iou(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    return _ratio(tp, tp + fp + fn, tp + fn)


def _ratio(part: Tensor, whole: Tensor, known: Tensor) -> Tensor:
    """Part / whole in float64; nan where `known` is 0, for then there is nothing to be right about."""
    nan = torch.full_like(whole, float("nan"), dtype=torch.float64)
    return torch.where(known > 0, part.double() / whole.double().clamp(min=1), nan)


def _mean(values: Tensor) -> Tensor:
    """Mean over images of values in [0, 1]; nan where there are none.

    Whole multiples of 2^-40 are summed (up to 8 million images), so that the order of the images changes no bit.
    """
    if len(values) == 0:
        return torch.full(values.shape[1:], float("nan"), dtype=torch.float64)
    return (values * 2**40).round().long().sum(0).double() / (len(values) * 2**40)
