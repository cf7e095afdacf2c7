"""The one resampler: bootstrap intervals, and random halves, over images or groups of them.

The bootstrap draws as many groups as there are, with replacement, computes a number on each sample, and takes
percentiles of these numbers as the ends of an interval (Efron, 1979). With few groups these are too narrow, so that
`intervals` takes wider percentiles. Images of one patient, or near-duplicates, are
alike: drawn one by one they would make the interval too narrow, so whole groups are drawn (Field and Welsh,
Bootstrapping clustered data, 2007). With fewer than two groups there is nothing to resample, and the ends are nan.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Mapping[str, Array]]
"""From (R, M) weights, how often each of M members counts in each of R samples, to (R,) values by name."""

Draw = Literal["multinomial", "pcg64", "mt19937"]
"""How groups are drawn. All three have the same distribution; published numbers depend on which one drew them.

`multinomial`: how often each group occurs, by numpy's default generator. `pcg64`: one group after another, by the same
generator. `mt19937`: one group after another, by the generator, seeding and rounding of `torch.randint`.
"""

MOST_SINGLE = 1000
"""Members up to which a number is checked for being a share; with more of them percentiles are as good."""

CHECKED = 16
"""Samples on which that is checked."""

CHUNK = 1 << 22
"""Weights in memory at once, so that memory does not grow with the number of samples."""


@dataclass(frozen=True)
class BootstrapSamples:
    """Samples of M members, drawn with replacement, those of one group together.

    Attributes:
        samples: how many are drawn.
        seed: the same one gives the same samples.
        groups: (M,) name or number of each member's group; a member by itself is a group of its own.
        draw: how groups are drawn.
    """

    samples: int
    seed: int
    groups: npt.NDArray[Any]
    draw: Draw = "multinomial"

    def of(self, rows: Any) -> "BootstrapSamples":
        """The same for some of the members."""
        return replace(self, groups=self.groups[rows])

    def at_most(self, samples: int) -> "BootstrapSamples":
        """The same with a limit on the number of samples."""
        return replace(self, samples=min(samples, self.samples))

    @property
    def units(self) -> int:
        """G, the number of groups."""
        return len(np.unique(self.groups))

    @property
    def over(self) -> str:
        """What is drawn, in words."""
        return "images" if self.units == len(self.groups) else f"{self.units} groups of images"

    def weights(self, rows: int | None = None) -> Iterator[Array]:
        """(R, M) how often each member counts, in parts that together have `samples` rows.

        Args:
            rows: most rows of a part; by default as many as `CHUNK` allows.
        """
        names, group = np.unique(self.groups, return_inverse=True)
        counts = _DRAWS[self.draw](self.seed, len(names))
        for height in _heights(self.samples, rows or CHUNK // max(len(group), 1)):
            yield counts(height)[:, group].astype(np.float64)


def halves(groups: npt.NDArray[Any], repeats: int, seed: int, rows: int | None = None) -> Iterator[Array]:
    """(R, M) weights in parts: 1 for members of a random half of the groups, the smaller half of an odd number.

    Args:
        groups: (M,) name or number of each member's group.
        repeats: how often the groups are halved; the parts together have that many rows.
        seed: the same one gives the same halves.
        rows: most rows of a part.
    """
    names, group = np.unique(groups, return_inverse=True)
    words = _mersenne(seed)
    for height in _heights(repeats, rows or CHUNK // max(len(group), 1)):
        keys = words(height, len(names)) & 0xFFFFFF  # the bits of `torch.rand`, which drew the published halves
        yield (keys.argsort(1, kind="stable") < len(names) // 2)[:, group].astype(np.float64)


def intervals(statistic: Statistic, samples: BootstrapSamples, level: float = 0.95) -> dict[str, Array]:
    r"""(2,) low and high end of each number's interval; nan for fewer than two groups, and for an undefined number.

    A number that is a mean of yes/no values of single images, such as accuracy, has the Wilson score interval (Wilson,
    1927): the bootstrap of 20 right answers in 20 has no width. Another number between 0 and 1, such as Dice, has a t
    interval on the logit scale, `logit(x) -+ t_{G-1} s`, s by the jackknife over G groups (Efron and Tibshirani, An
    introduction to the bootstrap, 1993, chapter 11), which stays in (0, 1). Every other number, and one over more than
    `MOST_SINGLE` images, has the expanded percentile interval (Hesterberg, What teachers should know about the
    bootstrap, The American Statistician 69, 2015): the percentiles `Phi(-+ sqrt(G / (G - 1)) t_{G-1})` instead of 2.5 %
    and 97.5 %. Plain percentiles cover 92 % at 20 images; so do BCa intervals (Efron, 1987), which cover less than
    percentiles for ratios such as Dice over all pixels. `tests/utils/test_coverage.py` simulates what these cover.

    Samples in which a number is not defined (nan) do not count for it.

    Args:
        statistic: computes the numbers.
        samples: of the members.
        level: share of the samples inside the interval, in (0, 1).

    Example:
        >>> values = np.array([1.0, 2.0, 3.0])
        >>> samples = BootstrapSamples(samples=200, seed=0, groups=np.arange(3))
        >>> low, high = intervals(lambda w: {"mean": w @ values / w.sum(1)}, samples)["mean"]
        >>> low < 2 < high
        np.True_
    """
    whole = statistic(np.ones((1, len(samples.groups))))
    undefined = np.full(2, np.nan)
    if samples.units < 2:
        return dict.fromkeys(whole, undefined)
    drawn = [statistic(weights) for weights in samples.weights()]
    found = {name: spread(np.concatenate([part[name] for part in drawn]), samples.units, level) for name in drawn[0]}
    found |= _jackknife_t(statistic, samples, found, whole, level)
    found |= {name: _wilson(*counts, level) for name, counts in _proportions(statistic, samples).items()}
    return {name: undefined if np.isnan(whole[name][0]) else found[name] for name in whole}


def spread(values: Array, units: int, level: float = 0.95) -> Array:
    """(2, ...) expanded percentiles of (R, ...) values along the first axis; see `intervals`.

    Args:
        values: one for each sample; nan does not count.
        units: G, the number of groups that were drawn from; with fewer than two the ends are nan.
        level: share of the values between the ends, before it is expanded.
    """
    if units < 2:
        return np.full((2, *values.shape[1:]), np.nan)
    return percentiles(values, _expanded(level, units))


def percentiles(values: Array, level: float = 0.95) -> Array:
    """(2, ...) ends of the middle part of (R, ...) values along the first axis; nan does not count.

    Args:
        values: one for each sample.
        level: share of the values between the ends.
    """
    ends = (0.5 - level / 2, 0.5 + level / 2)
    if not np.isnan(values).any():
        return np.asarray(np.quantile(values, ends, axis=0))  # the same numbers, many times as fast
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        return np.asarray(np.nanquantile(values, ends, axis=0))


def _expanded(level: float, units: int) -> float:
    """The level whose percentiles are as wide as a t interval of so many units has to be."""
    from scipy.special import ndtr, stdtrit

    return float(2 * ndtr(np.sqrt(units / (units - 1)) * stdtrit(units - 1, 0.5 + level / 2)) - 1)


def _jackknife_t(
    statistic: Statistic,
    samples: BootstrapSamples,
    found: Mapping[str, Array],
    whole: Mapping[str, Array],
    level: float,
) -> dict[str, Array]:
    """The t intervals on the logit scale of the numbers whose samples lie between 0 and 1, without those at an end."""
    from scipy.special import expit, logit, stdtrit

    names, group = np.unique(samples.groups, return_inverse=True)
    if len(group) > MOST_SINGLE:
        return {}
    left_out = statistic((group[None] != np.arange(len(names))[:, None]).astype(np.float64))
    intervals_of = {}
    for name, ends in found.items():
        values = left_out[name][~np.isnan(left_out[name])]
        inside = (values > 0) & (values < 1)
        if len(values) < 2 or not inside.all() or not 0 < whole[name][0] < 1 or not (ends >= 0).all() or ends[1] > 1:
            continue
        at, units = logit(values), len(values)
        error = np.sqrt((units - 1) / units * ((at - at.mean()) ** 2).sum())
        if error > 0:
            half = stdtrit(units - 1, 0.5 + level / 2) * error
            intervals_of[name] = expit(logit(whole[name][0]) + np.array([-half, half]))
    return intervals_of


def _proportions(statistic: Statistic, samples: BootstrapSamples) -> dict[str, tuple[float, int]]:
    """Share and number of members, by name, of the numbers that are means of 0 and 1 over ungrouped members."""
    members = len(samples.groups)
    if samples.units < members or members > MOST_SINGLE:
        return {}
    weights = next(samples.weights(CHECKED))
    singles, checked = statistic(np.eye(members)), statistic(weights)
    found = {}
    for name, values in singles.items():
        known = ~np.isnan(values)
        total = weights[:, known].sum(1)
        if not known.any() or not np.isin(values[known], (0, 1)).all():
            continue
        means = weights[:, known] @ values[known] / np.where(total > 0, total, np.nan)
        if np.allclose(means, checked[name], rtol=0, atol=1e-9, equal_nan=True):
            found[name] = float(values[known].mean()), int(known.sum())
    return found


def _wilson(share: float, count: int, level: float) -> Array:
    """(2,) ends of the Wilson score interval of a share."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.array([max(0.0, middle - half), min(1.0, middle + half)])


def _heights(total: int, most: int) -> Iterator[int]:
    """Sizes of the parts of `total` rows."""
    height = max(1, most)
    for top in range(0, total, height):
        yield min(height, total - top)


def _multinomial(seed: int, groups: int) -> Callable[[int], npt.NDArray[np.int64]]:
    rng, shares = np.random.default_rng(seed), np.full(groups, 1 / groups)
    return lambda rows: rng.multinomial(groups, shares, size=rows)


def _pcg64(seed: int, groups: int) -> Callable[[int], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return lambda rows: _counted(rng.integers(0, groups, (rows, groups)))


def _mt19937(seed: int, groups: int) -> Callable[[int], npt.NDArray[np.int64]]:
    words = _mersenne(seed)
    return lambda rows: _counted(words(rows, groups) % groups)


def _mersenne(seed: int) -> Callable[[int, int], npt.NDArray[np.int64]]:
    """Gives the next 32-bit words of the Mersenne Twister, seeded as PyTorch seeds it, as (rows, columns)."""
    rng = np.random.RandomState(seed & 0xFFFFFFFF)
    return lambda rows, columns: rng.randint(0, 1 << 32, (rows, columns), dtype=np.uint32).astype(np.int64)


def _counted(drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(R, G) how often each of G groups occurs in each row of (R, G) drawn ones."""
    rows, groups = drawn.shape
    places = drawn + groups * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), minlength=rows * groups).reshape(rows, groups)


_DRAWS: dict[Draw, Callable[[int, int], Callable[[int], npt.NDArray[np.int64]]]] = {
    "multinomial": _multinomial,
    "pcg64": _pcg64,
    "mt19937": _mt19937,
}
