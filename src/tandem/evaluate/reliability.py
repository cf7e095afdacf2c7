"""Reliability diagrams: predicted probability against observed frequency, in bins."""

import numpy as np

from tandem.evaluate.bootstrap import Array

BINS = 15


def reliability(probabilities: Array, yes: Array) -> dict[str, list[float]]:
    """Mean probability and share of positives in bins of equal width; empty bins are left out.

    Args:
        probabilities: (M,) in [0, 1].
        yes: (M,) 0 or 1.

    Returns:
        `probability`, `share`, `count`.

    Example:
        >>> reliability(np.array([0.75, 0.75]), np.array([1.0, 0.0]))
        {'probability': [0.75], 'share': [0.5], 'count': [2.0]}
    """
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    sums = np.stack(
        [np.bincount(place, part, BINS).astype(np.float64) for part in (np.ones_like(yes), probabilities, yes)]
    )
    return from_sums(sums)


def from_sums(sums: Array) -> dict[str, list[float]]:
    """The same from (3, B) sums over each bin: number of answers, sum of probabilities, number of positives."""
    count, probability, yes = sums[:, sums[0] > 0]
    return {
        "probability": [round(value, 6) for value in (probability / count).tolist()],
        "share": [round(value, 6) for value in (yes / count).tolist()],
        "count": count.tolist(),
    }
