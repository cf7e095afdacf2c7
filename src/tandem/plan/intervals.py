"""Intervals over independent images, as everywhere in tandem."""

from typing import Any

from numpy.typing import NDArray

Interval = tuple[float, float, float]
"""A value with the ends of its 95 % interval."""


def mean_interval(values: NDArray[Any], groups: NDArray[Any]) -> Interval:
    """Mean with its interval over groups.

    Args:
        values: (N,).
        groups: (N,) names; values of one group belong together.
    """
    from tandem.evaluate.bootstrap import BootstrapSamples, estimate, mean_of

    score = estimate(lambda w: {"mean": mean_of(w, values)}, BootstrapSamples(1000, 0, groups))["mean"]
    return score.value, score.low, score.high


def shown(value: Interval) -> str:
    """A value with its interval.

    Example:
        >>> shown((0.8, 0.7, 0.9))
        '0.800 [0.700, 0.900]'
    """
    return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
