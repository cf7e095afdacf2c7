"""Resampling: percentile bootstrap intervals, and random halves, over images, runs or groups of them.

The bootstrap draws G of G groups with replacement, computes a statistic on each sample, and takes percentiles of these
values as the ends of an interval (Efron, 1979). Images of one patient, and near-duplicates, are correlated. Drawing
them one by one would make the interval too narrow, so whole groups are drawn (Field and Welsh, Bootstrapping clustered
data, 2007). With fewer than two groups no interval exists, and its ends are nan.
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
    """Computes the percentile interval of each value, as (2,) low and high end; nan for fewer than two groups.

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
    if samples.units < 2:
        return {name: np.full(2, np.nan) for name in statistic(np.ones((1, len(samples.groups))))}
    drawn = [statistic(weights) for weights in samples.weights()]
    return {name: percentiles(np.concatenate([part[name] for part in drawn]), level) for name in drawn[0]}


def percentiles(values: Array, level: float = 0.95) -> Array:
    """(2, ...) ends of the central interval of (R, ...) values along the first axis, ignoring nan.

    Args:
        values: values of each sample.
        level: share of the values between the ends.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        return np.asarray(np.nanquantile(values, (0.5 - level / 2, 0.5 + level / 2), axis=0))


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
