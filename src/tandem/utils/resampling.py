"""Resampling: bootstrap intervals, and random halves, over images or groups of them.

The bootstrap draws G of G groups with replacement, computes a statistic on each sample, and takes percentiles of these
values as the ends of an interval (Efron, 1979). With few groups these are too narrow, so `intervals` takes wider
percentiles. Images of one patient, and near-duplicates, are correlated. Drawing them one by one would make the interval
too narrow, so whole groups are drawn (Field and Welsh, Bootstrapping clustered data, 2007). With fewer than two groups
no interval exists, and its ends are nan.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Mapping[str, Array]]
"""Maps (R, M) weights (the count of each of M members in each of R samples) to (R,) values by name."""

Draw = Literal["multinomial", "pcg64", "mt19937"]
"""Method of drawing. All three have the same distribution, but published numbers depend on the method.

`multinomial` draws the counts of the groups with numpy's default generator. `pcg64` draws group after group with the
same generator. `mt19937` draws group after group exactly as `torch.randint` does.
"""

MOST_SINGLE = 1000
"""Members up to which a number is checked for being a share; with more of them percentiles are as good."""

CHECKED = 16
"""Samples on which that is checked."""

CHUNK = 1 << 22
"""Maximum number of weights in memory, so that memory does not grow with the number of samples."""


@dataclass(frozen=True)
class BootstrapSamples:
    """Bootstrap samples of M members; members of one group are drawn together.

    Attributes:
        samples: number of samples.
        seed: seed; the same seed gives the same samples.
        groups: (M,) name or number of each member's group; an independent member is its own group.
        draw: method of drawing.
    """

    samples: int
    seed: int
    groups: npt.NDArray[Any]
    draw: Draw = "multinomial"

    def of(self, rows: Any) -> "BootstrapSamples":
        """The same settings for a subset of the members."""
        return replace(self, groups=self.groups[rows])

    def at_most(self, samples: int) -> "BootstrapSamples":
        """The same settings with a limit on the number of samples."""
        return replace(self, samples=min(samples, self.samples))

    @property
    def units(self) -> int:
        """G, the number of groups."""
        return len(np.unique(self.groups))

    @property
    def over(self) -> str:
        """The resampled unit in words, such as `images`."""
        return "images" if self.units == len(self.groups) else f"{self.units} groups of images"

    def weights(self, rows: int | None = None) -> Iterator[Array]:
        """Yields (R, M) counts of the members, in chunks with `samples` rows in total.

        Args:
            rows: maximum number of rows of a chunk; None: as many as `CHUNK` allows.
        """
        names, group = np.unique(self.groups, return_inverse=True)
        counts = _DRAWS[self.draw](self.seed, len(names))
        for height in _heights(self.samples, rows or CHUNK // max(len(group), 1)):
            yield counts(height)[:, group].astype(np.float64)


def halves(groups: npt.NDArray[Any], repeats: int, seed: int, rows: int | None = None) -> Iterator[Array]:
    """Yields (R, M) weights in chunks: 1 for members of a random half of the groups (rounded down), 0 for the others.

    Args:
        groups: (M,) name or number of each member's group.
        repeats: number of random halves, the total number of rows.
        seed: seed; the same seed gives the same halves.
        rows: maximum number of rows of a chunk; None: as many as `CHUNK` allows.
    """
    names, group = np.unique(groups, return_inverse=True)
    words = _mersenne(seed)
    for height in _heights(repeats, rows or CHUNK // max(len(group), 1)):
        keys = words(height, len(names)) & 0xFFFFFF  # the bits of `torch.rand`, which drew the published halves
        yield (keys.argsort(1, kind="stable") < len(names) // 2)[:, group].astype(np.float64)


def intervals(statistic: Statistic, samples: BootstrapSamples, level: float = 0.95) -> dict[str, Array]:
    r"""Computes the interval of each value, as (2,) low and high end; nan for fewer than two groups.

    A mean of yes/no values of single images, such as accuracy, has the Wilson score interval (Wilson, 1927): the
    bootstrap of 20 right answers in 20 has no width. Another value between 0 and 1, such as Dice, has a t interval on
    the logit scale, `logit(x) -+ t_{G-1} s`, with s from the jackknife over G groups (Efron and Tibshirani, An
    introduction to the bootstrap, 1993, chapter 11). Every other value, and one over more than `MOST_SINGLE` images,
    has the expanded percentile interval (Hesterberg, What teachers should know about the bootstrap, The American
    Statistician 69, 2015): the percentiles `Phi(-+ sqrt(G / (G - 1)) t_{G-1})` instead of 2.5 % and 97.5 %. Plain
    percentiles cover 92 % at 20 images, and BCa intervals (Efron, 1987) no more.
    `tests/utils/test_coverage.py` simulates the coverage.

    Samples in which a value is not defined (nan) are ignored for this value.

    Args:
        statistic: maps weights of the members to values.
        samples: bootstrap samples of the members.
        level: confidence level of the interval, in (0, 1).

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
    found |= {name: wilson(*counts, level) for name, counts in _proportions(statistic, samples).items()}
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
    """(2, ...) ends of the central interval of (R, ...) values along the first axis, ignoring nan.

    Args:
        values: values of each sample.
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


def wilson(share: float, count: int, level: float) -> Array:
    """(2,) ends of the Wilson score interval of a share of `count` things (Wilson, 1927); nan of none."""
    if not count:
        return np.full(2, np.nan)
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.array([max(0.0, middle - half), min(1.0, middle + half)])


def _heights(total: int, most: int) -> Iterator[int]:
    """Yields the sizes of chunks of `total` rows with at most `most` rows each."""
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
    """Returns a function that draws (rows, columns) 32-bit words of the Mersenne Twister, seeded as in PyTorch."""
    rng = np.random.RandomState(seed & 0xFFFFFFFF)
    return lambda rows, columns: rng.randint(0, 1 << 32, (rows, columns), dtype=np.uint32).astype(np.int64)


def _counted(drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(R, G) count of each of G groups in each row of (R, G) drawn group indices."""
    rows, groups = drawn.shape
    places = drawn + groups * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), minlength=rows * groups).reshape(rows, groups)


_DRAWS: dict[Draw, Callable[[int, int], Callable[[int], npt.NDArray[np.int64]]]] = {
    "multinomial": _multinomial,
    "pcg64": _pcg64,
    "mt19937": _mt19937,
}
