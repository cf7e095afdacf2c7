"""Bootstrap intervals of statistics that are functions of the weight of each image."""

import numpy as np

from tandem.evaluate.findings import Score
from tandem.utils.resampling import Array, BootstrapSamples, Statistic, intervals

__all__ = ["Array", "BootstrapSamples", "estimate", "mean_known", "mean_of", "ratio"]


def estimate(statistic: Statistic, samples: BootstrapSamples, level: float = 0.95) -> dict[str, Score]:
    """Computes each value on all images, with its percentile interval; see `tandem.utils.resampling.intervals`.

    Args:
        statistic: maps weights of the images to values.
        samples: bootstrap samples of the images, or of groups of images.
        level: confidence level of the interval.

    Example:
        >>> heights = np.array([1.0, 2.0, 3.0])
        >>> samples = BootstrapSamples(samples=200, seed=0, groups=np.arange(3))
        >>> found = estimate(lambda w: {"mean": w @ heights / w.sum(1)}, samples)
        >>> round(found["mean"].value, 3), found["mean"].low < 2 < found["mean"].high
        (2.0, True)
    """
    whole = statistic(np.ones((1, len(samples.groups))))
    ends = intervals(statistic, samples, level)
    return {name: Score(float(value[0]), *map(float, ends[name])) for name, value in whole.items()}


def ratio(part: Array, whole: Array, known: Array | None = None) -> Array:
    """`part / whole`; nan where `known` (by default `whole`) is 0."""
    counted = (whole if known is None else known) > 0
    return np.where(counted, part / np.where(whole > 0, whole, 1.0), np.nan)


def mean_of(weights: Array, values: Array) -> Array:
    """(R,) weighted means of (M,) values; nan values are skipped."""
    known = ~np.isnan(values)
    return ratio(weights[:, known] @ values[known], weights[:, known].sum(1))


def mean_known(values: Array) -> Array:
    """(R,) means of (R, C) values; nan values are skipped."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(1), known.sum(1).astype(np.float64))
