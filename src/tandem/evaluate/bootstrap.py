"""Intervals over images, for any numbers that are functions of how often each image counts."""

import warnings
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from tandem.evaluate.findings import Score

Array = npt.NDArray[np.float64]
Measure = Callable[[Array], Mapping[str, Array]]
"""From (R, M) weights, how often each of M images counts in each of R samples, to (R,) values by name."""

CHUNK = 1 << 22
"""Weights at once, so that memory does not grow with the number of samples."""


def estimate(measure: Measure, images: int, samples: int, seed: int, level: float = 0.95) -> dict[str, Score]:
    """Each number on all images, with its percentile interval from images drawn with replacement (Efron, 1979).

    Images are taken to be independent of each other. Samples in which a number is unknown do not count for it.

    Args:
        measure: gives the numbers.
        images: how many there are, M.
        samples: how many are drawn.
        seed: of the draws.
        level: share of the samples inside the interval.

    Example:
        >>> heights = np.array([1.0, 2.0, 3.0])
        >>> found = estimate(lambda w: {"mean": w @ heights / w.sum(1)}, 3, samples=200, seed=0)
        >>> round(found["mean"].value, 3), found["mean"].low < 2 < found["mean"].high
        (2.0, True)
    """
    whole = measure(np.ones((1, images)))
    drawn = [measure(weights) for weights in resamples(images, samples, seed)] if images else []
    ends = (0.5 - level / 2, 0.5 + level / 2)
    found = {}
    for name, value in whole.items():
        values = np.concatenate([part[name] for part in drawn]) if drawn else np.full(1, np.nan)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All-NaN slice")
            low, high = np.nanquantile(values, ends)
        found[name] = Score(float(value[0]), float(low), float(high))
    return found


def resamples(images: int, samples: int, seed: int) -> Iterator[Array]:
    """(R, M) weights, in parts of limited size that together have `samples` rows."""
    random = np.random.default_rng(seed)
    height = max(1, CHUNK // max(images, 1))
    for top in range(0, samples, height):
        count = min(height, samples - top)
        yield random.multinomial(images, np.full(images, 1 / images), size=count).astype(np.float64)


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
