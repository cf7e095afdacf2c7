"""Objectives that the best threshold maximises."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.metrics.counts import MEASURES, Counts, dice, fbeta

Aggregate = Literal["global", "per_image"]
Goal = Literal["dice", "iou", "fbeta", "f1", "youden", "sensitivity"]
Empty = Literal["skip", "score"]


@dataclass(frozen=True)
class Objective:
    """A metric at each threshold, to be maximised.

    *Global* sums the counts over all images and divides once. *Per image* is the mean of each image's own ratio.

    Attributes:
        goal: `dice` (also called `f1`), `iou`, `fbeta`, `youden`, or `sensitivity` subject to a specificity of at least
            `specificity`. Where the specificity is lower, the thresholds rank by the (negative) difference to it.
        aggregate: `global` or `per_image`; `youden` and `sensitivity` are always global.
        beta: weight of recall relative to precision in `fbeta`, above 0.
        specificity: lowest specificity allowed with `sensitivity`, in [0, 1].
        empty: images without foreground in the mean per image. `skip`: they are left out. `score`: such an image
            scores 1 if the prediction is empty, and 0 otherwise (as in Aumente-Maestro et al., 2024, for Curated BUSI).
            An image without any labelled pixel is left out in both cases.

    Raises:
        ConfigError: a name is unknown, or a number is out of range.
    """

    goal: Goal = "dice"
    aggregate: Aggregate = "global"
    beta: float = 1.0
    specificity: float = 0.9
    empty: Empty = "skip"

    def __post_init__(self) -> None:
        """Check the values."""
        for what, given, known in (
            ("objective", self.goal, Goal),
            ("aggregate", self.aggregate, Aggregate),
            ("empty", self.empty, Empty),
        ):
            if given not in get_args(known):
                raise ConfigError(f"{what} is '{given}': {nearest(str(given), get_args(known))}")
        if self.aggregate == "per_image" and self.goal in ("youden", "sensitivity"):
            raise ConfigError(f"objective '{self.goal}' is global and has no mean per image; set aggregate=global")
        if not 0 < self.beta < float("inf"):
            raise ConfigError(f"beta is {self.beta}, but must be above 0")
        if not 0 <= self.specificity <= 1:
            raise ConfigError(f"specificity is {self.specificity}, but must lie in [0, 1]")

    def rank(self, counts: Counts, weights: Tensor | None = None) -> Tensor:
        """(C, T) the value to maximise, from the counts (M, C, T) of M images; nan where it is not defined.

        It is the score, except for `sensitivity` where the specificity is too low: there it is minus the missing
        specificity.

        Args:
            counts: counts of each image.
            weights: (R, M) weight of each image in each of R samples; the result is then (R, C, T).
        """
        score = self.score(counts, weights)
        if self.goal != "sensitivity":
            return score
        missing = self.specificity - self.measure("specificity", counts, weights)
        return torch.where(missing <= 0, score, -missing + 0 * score)

    def score(self, counts: Counts, weights: Tensor | None = None) -> Tensor:
        """(C, T) the goal itself; see `rank` for the arguments."""
        return self.measure(self.goal, counts, weights)

    def measure(self, name: str, counts: Counts, weights: Tensor | None = None) -> Tensor:
        """(C, T) `fbeta` or any of `MEASURES`, aggregated as this objective is; see `rank` for the arguments."""
        if self.aggregate == "global":
            return self._ratio(name, counts.summed() if weights is None else counts.weighted(weights))
        values = self._ratio(name, counts)
        if self.empty == "score":
            nothing = (counts.positives == 0) & (counts.negatives > 0)
            values = torch.where(nothing, (counts.fp == 0).double(), values)
        return mean(values) if weights is None else _weighted_mean(values, weights)

    def _ratio(self, name: str, counts: Counts) -> Tensor:
        if name == "fbeta":
            return dice(counts) if self.beta == 1 else fbeta(counts, self.beta)
        return MEASURES[name](counts)


def highest(score: Tensor, thresholds: Tensor, candidates: Tensor | None = None) -> Tensor:
    """(...) index of the threshold with the highest score.

    Ties are resolved in favour of the threshold nearest to 0.5 (to six decimals), then of the lower one. If every score
    is undefined, all thresholds tie.

    Args:
        score: (..., T); nan where it is not defined.
        thresholds: (T,) float32, ascending.
        candidates: (T,) bool mask of the thresholds that may be chosen; None: all.
    """
    barred = torch.zeros_like(thresholds, dtype=torch.bool) if candidates is None else ~candidates
    score = torch.where(score.isnan() | barred, -torch.inf, score)
    # rounded, because in float32 0.52 is nearer to 0.5 than 0.48 is
    distance = (thresholds.double() - 0.5).abs().round(decimals=6)
    return torch.where(barred | (score < score.amax(-1, keepdim=True)), torch.inf, distance).argmin(-1)


def mean(values: Tensor) -> Tensor:
    """Mean over the first dimension of values in [0, 1], ignoring nan; nan if all values are nan.

    Values are rounded to integer multiples of 2^-40 and summed exactly (up to 8 million images), so that the result
    does not depend on the order of the images.
    """
    known = ~values.isnan()
    total = (values.nan_to_num(0.0) * 2**40).round().long().sum(0).double()
    count = known.sum(0).double()
    return torch.where(count > 0, total / (count.clamp(min=1) * 2**40), torch.nan)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    count = torch.tensordot(weights, (~values.isnan()).double(), 1)
    total = torch.tensordot(weights, values.nan_to_num(0.0), 1)
    return torch.where(count > 0, total / count.clamp(min=1), torch.nan)
