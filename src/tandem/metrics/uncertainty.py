"""How far a best threshold and its score can be trusted: a bootstrap interval, and a nested estimate, over images.

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
"""Numbers that one part of the samples may take, so that memory does not grow with their number."""


class Interval(NamedTuple):
    """Bootstrap intervals over images, for each of C classes, float64; all nan for fewer than two groups.

    Attributes:
        threshold: (C, 2) low and high end of the threshold that is chosen in each sample.
        dice: (C, 2) of Dice at the threshold that was chosen on all images.
        score: (C, 2) of the objective there.
        optimism: (C,) by how much choosing the threshold inflates the objective: the mean over samples of its best
            value in the sample, minus its value on all images at the threshold that was best in the sample. Score minus
            optimism estimates the score on new data (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
            chapter 17).
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
        spread: (C,) standard deviation of the latter over the repeats.
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

    Samples in which a number is not defined, because they have no foreground, do not count for it.

    Args:
        thresholds: (T,) float32.
        counts: of single images, (M, C, T).
        objective: what the best threshold maximises.
        samples: how many are drawn.
        level: share of the samples inside the interval, in (0, 1).
        seed: of the draws; the same one gives the same interval.
        groups: (M,) int64, the group of each image; None: each image is its own group.

    Raises:
        ConfigError: samples or level out of range.
        DataError: no image.
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
    """Choose the threshold on a random half of the images and score it on the other, both ways round, many times.

    Unlike the best score itself, the mean is not optimistic; it is slightly pessimistic, since a threshold chosen on
    half of the images is worse than one chosen on all. Halves in which a number is not defined, because they have no
    foreground, do not count for it.

    Args:
        thresholds: (T,) float32.
        counts: of single images, (M, C, T).
        objective: what the best threshold maximises.
        repeats: how often the images are halved.
        seed: of the halves; the same one gives the same estimate.
        groups: as in `bootstrap`.

    Raises:
        ConfigError: fewer than one repeat.
        DataError: fewer than two images or groups.
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
    """(M,) each image's group, of which there must be at least `least`."""
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
    """Samples that are computed at once."""
    classes, thresholds = counts.tp.shape[1:]
    return max(1, CHUNK // (classes * thresholds))


def _tensors(parts: Iterator[Array]) -> Iterator[Tensor]:
    yield from map(torch.from_numpy, parts)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """(R, C) of (R, C, T)."""
    return values.gather(-1, index.unsqueeze(-1)).squeeze(-1)


def _ends(values: Tensor, level: float = 0.95) -> Tensor:
    """(C, 2) of (R, C)."""
    return torch.from_numpy(percentiles(values.numpy(), level)).T
