r"""The difference between an external and the internal test, with its interval.

Both sets of images are drawn independently (unpaired bootstrap; Efron and Tibshirani, An introduction to the bootstrap,
1993, chapter 8): each of R samples gives one value on each set, and the interval is the expanded percentile interval of
their R differences, see `tandem.utils.resampling`. Where neither set varies, such as two sets of images that are all
right, the intervals of the two numbers are combined: `d - sqrt((a - a_low)^2 + (b_high - b)^2)`, and likewise for the
upper end (Newcombe, Statistics in Medicine 17, 1998; Zou and Donner, 2008).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate
from tandem.evaluate.findings import Score
from tandem.utils.resampling import Statistic, spread


def difference(
    one: Statistic, one_draws: BootstrapSamples, other: Statistic, other_draws: BootstrapSamples
) -> dict[str, tuple[Score, Score]]:
    """The second set's score and the first minus the second, each with its interval, by the names that both have.

    Args:
        one: maps weights of the images of the first set to values.
        one_draws: bootstrap samples of these images.
        other: the same for the second set.
        other_draws: bootstrap samples of its images, with another seed.

    Example:
        >>> a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0, 0.0])
        >>> mean = lambda x: lambda w: {"mean": w @ x / w.sum(1)}
        >>> draws = [BootstrapSamples(200, seed, np.arange(n)) for seed, n in enumerate((3, 4))]
        >>> internal, gap = difference(mean(a), draws[0], mean(b), draws[1])["mean"]
        >>> internal.value, gap.value, gap.low < 1 < gap.high
        (1.0, 1.0, True)
    """
    mine, theirs = estimate(one, one_draws), estimate(other, other_draws)
    drawn, against = _values(one, one_draws), _values(other, other_draws)
    units = min(one_draws.units, other_draws.units)
    found = {}
    for name in mine.keys() & theirs.keys():
        value = mine[name].value - theirs[name].value
        low, high = map(float, spread(drawn[name] - against[name], units))
        if np.isnan(value):
            low = high = np.nan
        elif low == high:
            low, high = combined(mine[name], theirs[name])
        found[name] = (theirs[name], Score(value, low, high))
    return {name: found[name] for name in mine if name in found}


def combined(one: Score, other: Score) -> tuple[float, float]:
    """Ends of the interval of `one - other` from their own intervals."""
    value = one.value - other.value
    low = value - np.hypot(one.value - one.low, other.high - other.value)
    return float(low), float(value + np.hypot(one.high - one.value, other.value - other.low))


def _values(statistic: Statistic, draws: BootstrapSamples) -> Mapping[str, Array]:
    """(R,) values by name."""
    parts = [statistic(weights) for weights in draws.weights()]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def as_json(found: Mapping[str, tuple[Score, Score]], prefix: str) -> dict[str, dict[str, Any]]:
    """Plain containers: `internal` and `difference`, each value, low and high end."""
    return {
        f"{prefix}{name}": {"internal": list(internal), "difference": list(apart)}
        for name, (internal, apart) in found.items()
    }
