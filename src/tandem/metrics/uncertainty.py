"""How far a best threshold and its score can be trusted: a bootstrap interval, and a nested estimate, over images.

Where images belong together, as those of one patient or near-duplicates do, whole groups are drawn and halved (Field
and Welsh, Bootstrapping clustered data, 2007): drawn one by one they would make an interval too narrow, and a threshold
chosen on one half would have seen the other.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tandem.errors import ConfigError, DataError
from tandem.metrics.counts import Counts
from tandem.metrics.objective import Objective, highest

CHUNK = 1 << 22
"""Numbers that one part of the samples may take, so that memory does not grow with their number."""


class Interval(NamedTuple):
    """A bootstrap interval over images, for each of C classes, float64.

    Attributes:
        threshold: (C, 2) low and high end, of the threshold chosen anew in each sample.
        dice: (C, 2) of Dice at the threshold that was chosen on all images.
        score: (C, 2) of the objective there.
        optimism: (C,) by how much choosing flatters the objective: the mean over samples of its best value in the
            sample, less its value on all images at the threshold that was best in the sample. Score less optimism
            estimates the score on new data (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 17).
    """

    threshold: Tensor
    dice: Tensor
    score: Tensor
    optimism: Tensor


class Nested(NamedTuple):
    """What a threshold is worth on images that did not choose it, for each of C classes, float64.

    Attributes:
        threshold: (C, 2) low and high end (2.5 % and 97.5 %) of the thresholds that halves of the images choose.
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
    """Percentile intervals from samples of M images drawn from the M images with replacement (Efron, 1979).

    Samples in which a number is unknown, for want of foreground, do not count for it.

    Args:
        thresholds: (T,) float32.
        counts: of single images, (M, C, T).
        objective: what the best threshold is best in.
        samples: how many.
        level: share of the samples inside the interval, in (0, 1).
        seed: of the draws; the same one gives the same interval.
        groups: (M,) int64, the group of each image, 0 to G - 1; None: each stands alone.

    Raises:
        ConfigError: samples or level out of range.
        DataError: no image.
    """
    if samples < 1 or not 0 < level < 1:
        raise ConfigError(f"samples={samples}, level={level}: need samples >= 1 and 0 < level < 1")
    whole = objective.score(counts)
    chosen = highest(objective.rank(counts), thresholds)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for weights in _parts(_resamples(_groups(counts, groups, 1), samples, seed), counts):
        score = objective.score(counts, weights)
        best = highest(objective.rank(counts, weights), thresholds)
        flattery = _pick(score, best) - _pick(whole.expand_as(score), best)
        dice = objective.measure("dice", counts, weights)
        at = chosen.expand_as(best)
        found.append((thresholds.double()[best], _pick(dice, at), _pick(score, at), flattery))
    threshold, dice, score, optimism = (torch.cat(parts) for parts in zip(*found, strict=True))
    ends = torch.tensor([0.5 - level / 2, 0.5 + level / 2], dtype=torch.float64)
    return Interval(_ends(threshold, ends), _ends(dice, ends), _ends(score, ends), optimism.nanmean(0))


def nested(
    thresholds: Tensor,
    counts: Counts,
    objective: Objective,
    repeats: int = 100,
    seed: int = 0,
    groups: Tensor | None = None,
) -> Nested:
    """Chooses the threshold on one half of the images and scores it on the other, both ways round, again and again.

    Unlike the best score itself the mean is not optimistic; it is a little pessimistic, since half of the images choose
    worse than all of them. Halves in which a number is unknown, for want of foreground, do not count for it.

    Args:
        thresholds: (T,) float32.
        counts: of single images, (M, C, T).
        objective: what the best threshold is best in.
        repeats: how many times the images are halved.
        seed: of the halves; the same one gives the same estimate.
        groups: as in `bootstrap`.

    Raises:
        ConfigError: less than one repeat.
        DataError: less than two images or groups.
    """
    if repeats < 1:
        raise ConfigError(f"repeats is {repeats}, but must be at least 1")
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for first in _parts(_halves(_groups(counts, groups, 2), repeats, seed), counts):
        for choosing, scoring in ((first, 1 - first), (1 - first, first)):
            best = highest(objective.rank(counts, choosing), thresholds)
            dice, score = objective.measure("dice", counts, scoring), objective.score(counts, scoring)
            found.append((thresholds.double()[best], _pick(dice, best), _pick(score, best)))
    threshold, dice, score = (torch.cat(parts) for parts in zip(*found, strict=True))
    spread = (score - score.nanmean(0)).square().nanmean(0).sqrt()
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    return Nested(_ends(threshold, ends), dice.nanmean(0), score.nanmean(0), spread)


def _groups(counts: Counts, groups: Tensor | None, least: int) -> Tensor:
    """(M,) number of each image's group, of which there are enough."""
    images = len(counts.tp)
    found = torch.arange(images) if groups is None else groups
    if len(found) != images:
        raise DataError(f"{len(found)} groups are given for {images} images; each needs exactly one")
    units = int(found.max()) + 1 if images else 0
    if units < least:
        kind = "images" if groups is None else "groups"
        raise DataError(f"{units} {kind} are too few; an estimate over {kind} needs at least {least}")
    return found


def _resamples(group: Tensor, samples: int, seed: int) -> Tensor:
    """(R, M) float64: how often each image was drawn, with its group."""
    groups = int(group.max()) + 1
    drawn = torch.randint(groups, (samples, groups), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(samples, groups, dtype=torch.float64).scatter_add_(
        1, drawn, torch.ones((), dtype=torch.float64).expand_as(drawn)
    )
    return times[:, group]


def _halves(group: Tensor, repeats: int, seed: int) -> Tensor:
    """(R, M) float64: 1 for the images of the first half of the groups, the smaller half of an odd number."""
    groups = int(group.max()) + 1
    order = torch.rand(repeats, groups, generator=torch.Generator().manual_seed(seed)).argsort(1)
    return (order < groups // 2).double()[:, group]


def _parts(weights: Tensor, counts: Counts) -> Iterator[Tensor]:
    classes, thresholds = counts.tp.shape[1:]
    yield from torch.split(weights, max(1, CHUNK // (classes * thresholds)))


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """(R, C) of (R, C, T)."""
    return values.gather(-1, index.unsqueeze(-1)).squeeze(-1)


def _ends(values: Tensor, ends: Tensor) -> Tensor:
    """(C, 2) of (R, C)."""
    return values.nanquantile(ends, dim=0).T
