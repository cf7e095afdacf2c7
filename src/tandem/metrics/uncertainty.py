"""Uncertainty of a best threshold and its score: bootstrap intervals and a nested estimate, over images.

Images of one group, such as one patient or near-duplicates, are drawn and halved together (`tandem.utils.resampling`).
Otherwise an interval would be too narrow, and a threshold chosen on one half would have seen the other.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.errors import ConfigError, DataError
from tandem.metrics.counts import Counts
from tandem.metrics.objective import Objective, highest
from tandem.utils.resampling import Array, BootstrapSamples, halves, percentiles

CHUNK = 1 << 22
"""Maximum number of values held for one chunk of samples, so that memory does not grow with their number."""


class Interval(NamedTuple):
    """Bootstrap intervals over images, for each of C classes, float64; all nan for fewer than two groups.

    Attributes:
        threshold: (C, 2) interval of the threshold that each sample chooses.
        dice: (C, 2) interval of Dice at the threshold chosen on all images.
        score: (C, 2) interval of the objective at that threshold.
        optimism: (C,) by how much choosing the threshold inflates the objective: the mean over samples of the best
            value in the sample, minus the value on all images at the sample's best threshold. Score minus optimism
            estimates the score on new data (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 17).
    """

    threshold: Tensor
    dice: Tensor
    score: Tensor
    optimism: Tensor


class Nested(NamedTuple):
    """Scores on images that did not choose the threshold, for each of C classes, float64.

    Attributes:
        threshold: (C, 2) low and high end (2.5 % and 97.5 %) of the thresholds chosen on halves of the images.
        dice: (C,) mean of Dice on the other half.
        score: (C,) mean of the objective on the other half.
        spread: (C,) standard deviation of that score over the repeats.
    """

    threshold: Tensor
    dice: Tensor
    score: Tensor
    spread: Tensor


def bootstrap(
    thresholds: Tensor,
    counts: Counts,
    objective: Objective,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: Tensor | None = None,
) -> Interval:
    """Percentile bootstrap intervals over images, or groups of them; see `tandem.utils.resampling`.

    Samples in which a value is not defined, because they have no foreground, are ignored for this value.

    Args:
        thresholds: (T,) float32.
        counts: counts of each image, (M, C, T).
        objective: the objective that the best threshold maximises.
        samples: number of samples.
        level: confidence level of the interval, in (0, 1).
        seed: seed of the bootstrap; the same seed gives the same interval.
        groups: (M,) int64 group of each image; None: each image is its own group.

    Raises:
        ConfigError: samples or level is out of range.
        DataError: there are no images.
    """
    if samples < 1 or not 0 < level < 1:
        raise ConfigError(f"samples={samples}, level={level}: need samples >= 1 and 0 < level < 1")
    units = _groups(counts, groups, 1)
    whole = objective.score(counts)
    chosen = highest(objective.rank(counts), thresholds)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for weights in _tensors(BootstrapSamples(samples, seed, units, "mt19937").weights(_rows(counts))):
        score = objective.score(counts, weights)
        best = highest(objective.rank(counts, weights), thresholds)
        inflation = _pick(score, best) - _pick(whole.expand_as(score), best)
        dice = objective.measure("dice", counts, weights)
        at = chosen.expand_as(best)
        found.append((thresholds.double()[best], _pick(dice, at), _pick(score, at), inflation))
    threshold, dice, score, optimism = (torch.cat(parts) for parts in zip(*found, strict=True))
    result = Interval(_ends(threshold, level), _ends(dice, level), _ends(score, level), optimism.nanmean(0))
    return result if len(np.unique(units)) > 1 else Interval(*(torch.full_like(part, torch.nan) for part in result))


def nested(
    thresholds: Tensor,
    counts: Counts,
    objective: Objective,
    repeats: int = 100,
    seed: int = 0,
    groups: Tensor | None = None,
) -> Nested:
    """Chooses the threshold on a random half of the images and scores it on the other half, in both directions.

    The mean over many repeats is not optimistic, unlike the best score itself. It is slightly pessimistic, because a
    threshold chosen on half of the images is worse than one chosen on all. Halves in which a value is not defined,
    because they have no foreground, are ignored for this value.

    Args:
        thresholds: (T,) float32.
        counts: counts of each image, (M, C, T).
        objective: the objective that the best threshold maximises.
        repeats: number of random splits into halves.
        seed: seed of the halves; the same seed gives the same estimate.
        groups: see `bootstrap`.

    Raises:
        ConfigError: there are fewer than one repeats.
        DataError: there are fewer than two images or groups.
    """
    if repeats < 1:
        raise ConfigError(f"repeats is {repeats}, but must be at least 1")
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for first in _tensors(halves(_groups(counts, groups, 2), repeats, seed, _rows(counts))):
        for choosing, scoring in ((first, 1 - first), (1 - first, first)):
            best = highest(objective.rank(counts, choosing), thresholds)
            dice, score = objective.measure("dice", counts, scoring), objective.score(counts, scoring)
            found.append((thresholds.double()[best], _pick(dice, best), _pick(score, best)))
    threshold, dice, score = (torch.cat(parts) for parts in zip(*found, strict=True))
    spread = (score - score.nanmean(0)).square().nanmean(0).sqrt()
    return Nested(_ends(threshold), dice.nanmean(0), score.nanmean(0), spread)


def _groups(counts: Counts, groups: Tensor | None, least: int) -> npt.NDArray[np.int64]:
    """(M,) group of each image; there must be at least `least` groups."""
    images = len(counts.tp)
    found = np.arange(images) if groups is None else groups.numpy()
    if len(found) != images:
        raise DataError(f"{len(found)} groups are given for {images} images; each needs exactly one")
    units = len(np.unique(found))
    if units < least:
        kind = "images" if groups is None else "groups"
        raise DataError(f"{units} {kind} are too few; an estimate over {kind} needs at least {least}")
    return found


def _rows(counts: Counts) -> int:
    """Number of samples computed at once."""
    classes, thresholds = counts.tp.shape[1:]
    return max(1, CHUNK // (classes * thresholds))


def _tensors(parts: Iterator[Array]) -> Iterator[Tensor]:
    yield from map(torch.from_numpy, parts)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """(R, C) values of (R, C, T) at the given indices."""
    return values.gather(-1, index.unsqueeze(-1)).squeeze(-1)


def _ends(values: Tensor, level: float = 0.95) -> Tensor:
    """(C, 2) ends of the intervals of (R, C) values."""
    return torch.from_numpy(percentiles(values.numpy(), level)).T
