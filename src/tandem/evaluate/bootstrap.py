"""Intervals over images or groups of them, for any numbers that are functions of how often each image counts."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tandem.evaluate.findings import Score

Array = npt.NDArray[np.float64]
Measure = Callable[[Array], Mapping[str, Array]]
"""From (R, M) weights, how often each of M images counts in each of R samples, to (R,) values by name."""

CHUNK = 1 << 22
"""Weights at once, so that memory does not grow with the number of samples."""


@dataclass(frozen=True)
class BootstrapSamples:
    """Images drawn with replacement (Efron, 1979), those of one group together (Field and Welsh, 2007).

    Pictures of one patient, or near-duplicates, are alike: drawn one by one they would make an interval too narrow.

    Attributes:
        samples: how many are drawn.
        seed: of the draws.
        groups: (M,) name or number of each image's group; an image that stands alone is a group of its own.
    """

    samples: int
    seed: int
    groups: npt.NDArray[Any]

    def of(self, rows: Any) -> "BootstrapSamples":
        """Of some of the images."""
        return replace(self, groups=self.groups[rows])

    def at_most(self, samples: int) -> "BootstrapSamples":
        """With fewer samples."""
        return replace(self, samples=min(samples, self.samples))

    @property
    def over(self) -> str:
        """What is drawn, in words."""
        count = len(np.unique(self.groups))
        return "images" if count == len(self.groups) else f"{count} groups of images"

    def weights(self) -> Iterator[Array]:
        """(R, M) how often each image counts, in parts of limited size that together have `samples` rows."""
        random = np.random.default_rng(self.seed)
        names, group = np.unique(self.groups, return_inverse=True)
        height = max(1, CHUNK // max(len(group), 1))
        for top in range(0, self.samples, height):
            count = min(height, self.samples - top)
            drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
            yield drawn[:, group].astype(np.float64)


def estimate(measure: Measure, draws: BootstrapSamples, level: float = 0.95) -> dict[str, Score]:
    """Each number on all images, with its percentile interval.

    Samples in which a number is unknown do not count for it.

    Args:
        measure: gives the numbers.
        draws: of the images, or of groups of them.
        level: share of the samples inside the interval.

    Example:
        >>> heights = np.array([1.0, 2.0, 3.0])
        >>> draws = Draws(samples=200, seed=0, groups=np.arange(3))
        >>> found = estimate(lambda w: {"mean": w @ heights / w.sum(1)}, draws)
        >>> round(found["mean"].value, 3), found["mean"].low < 2 < found["mean"].high
        (2.0, True)
    """
    images = len(draws.groups)
    whole = measure(np.ones((1, images)))
    drawn = [measure(weights) for weights in draws.weights()] if images else []
    ends = (0.5 - level / 2, 0.5 + level / 2)
    found = {}
    for name, value in whole.items():
        values = np.concatenate([part[name] for part in drawn]) if drawn else np.full(1, np.nan)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All-NaN slice")
            low, high = np.nanquantile(values, ends)
        found[name] = Score(float(value[0]), float(low), float(high))
    return found


def ratio(part: Array, whole: Array, known: Array | None = None) -> Array:
    """Part / whole; nan where `known`, by default the whole, is 0."""
    counted = (whole if known is None else known) > 0
    return np.where(counted, part / np.where(whole > 0, whole, 1.0), np.nan)


def mean_of(weights: Array, values: Array) -> Array:
    """(R,) weighted means of (M,) values; those that are nan count nowhere."""
    known = ~np.isnan(values)
    return ratio(weights[:, known] @ values[known], weights[:, known].sum(1))


def mean_known(values: Array) -> Array:
    """(R,) means of (R, C) values without those that are nan."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(1), known.sum(1).astype(np.float64))
