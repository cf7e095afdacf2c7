"""Objectives: what the best threshold maximises."""

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
    """A number at each threshold, to be maximised.

    *Global* sums the counts over all images and divides once. *Per image* is the mean of each image's own ratio.

    Attributes:
        goal: `dice` (`f1` is another name of it), `iou`, `fbeta`, `youden`, or `sensitivity` where the specificity is
            at least `specificity`; below that it is the specificity less that limit, thus negative.
        aggregate: `global` or `per_image`; the last two goals are global.
        beta: of `fbeta`, above 0: how many times as much recall weighs as precision.
        specificity: the lowest specificity allowed with `sensitivity`, in [0, 1].
        empty: images without foreground in the mean per image. `skip`: they do not count. `score`: such an image
            scores 1 where nothing is predicted in it, and 0 otherwise (as Aumente-Maestro et al., 2024, do on their
            curated BUSI). An image without any known pixel counts in neither.

    Raises:
        ConfigError: an unknown name, or a number out of range.
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
            raise ConfigError(f"objective '{self.goal}' is counted over all rows or pixels and has no mean per image")
        if not 0 < self.beta < float("inf"):
            raise ConfigError(f"beta is {self.beta}, but must be above 0")
        if not 0 <= self.specificity <= 1:
            raise ConfigError(f"specificity is {self.specificity}, but must lie in [0, 1]")

    def rank(self, counts: Counts, weights: Tensor | None = None) -> Tensor:
        """(C, T) the number that is wanted high, from the counts (M, C, T) of M images; nan where it is unknown.

        It is the score, but for `sensitivity` where that costs too much: there it is minus the missing specificity.

        Args:
            counts: of single images.
            weights: (R, M) how often each image counts in each of R samples; the result is then (R, C, T).
        """
        score = self.score(counts, weights)
        if self.goal != "sensitivity":
            return score
        missing = self.specificity - self.measure("specificity", counts, weights)
        return torch.where(missing <= 0, score, -missing + 0 * score)

    def score(self, counts: Counts, weights: Tensor | None = None) -> Tensor:
        """(C, T) the goal itself; arguments as of `rank`."""
        return self.measure(self.goal, counts, weights)

    def measure(self, name: str, counts: Counts, weights: Tensor | None = None) -> Tensor:
        """(C, T) `fbeta` or any of `MEASURES`, aggregated as this objective is; arguments as of `rank`."""
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

    Of equally good ones it is the nearest to 0.5 (in six decimals), then the lower. Where every score is unknown, no
    threshold is better than another, so it is the nearest to 0.5.

    Args:
        score: (..., T); nan where it is unknown.
        thresholds: (T,) float32, ascending.
        candidates: (T,) bool, which thresholds may be chosen; all by default.
    """
    barred = torch.zeros_like(thresholds, dtype=torch.bool) if candidates is None else ~candidates
    score = torch.where(score.isnan() | barred, -torch.inf, score)
    # rounded, since in float32 0.52 lies nearer to 0.5 than 0.48 does
    distance = (thresholds.double() - 0.5).abs().round(decimals=6)
    return torch.where(barred | (score < score.amax(-1, keepdim=True)), torch.inf, distance).argmin(-1)


def mean(values: Tensor) -> Tensor:
    """Mean over the first dimension of values in [0, 1], without those that are nan; nan where there are no others.

    Whole multiples of 2^-40 are summed (up to 8 million images), so that the order of the images changes no bit.
    """
    known = ~values.isnan()
    total = (values.nan_to_num(0.0) * 2**40).round().long().sum(0).double()
    count = known.sum(0).double()
    return torch.where(count > 0, total / (count.clamp(min=1) * 2**40), torch.nan)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    count = torch.tensordot(weights, (~values.isnan()).double(), 1)
    total = torch.tensordot(weights, values.nan_to_num(0.0), 1)
    return torch.where(count > 0, total / count.clamp(min=1), torch.nan)
