"""Numbers over replicates: mean and deviation, paired differences with their interval, and many tests at once."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.utils.resampling import BootstrapSamples, intervals

LEVEL = 0.05
"""Below this a p value is called significant."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation of the known values.

    Attributes:
        mean: nan where none is known.
        std: with n - 1 below the line; nan where fewer than two are known.
        n: how many are known.
    """

    mean: float
    std: float
    n: int


def summarise(values: Iterable[float | None]) -> Summary:
    """Mean, standard deviation and number of the values that are known (neither None nor nan).

    Args:
        values: of single runs, each once; never of other means.

    Example:
        >>> summarise([1.0, 3.0, None])
        Summary(mean=2.0, std=1.4142135623730951, n=2)
    """
    known = [value for value in values if value is not None and not math.isnan(value)]
    if not known:
        return Summary(math.nan, math.nan, 0)
    mean = math.fsum(known) / len(known)
    squares = math.fsum((value - mean) ** 2 for value in known)
    return Summary(mean, math.sqrt(squares / (len(known) - 1)) if len(known) > 1 else math.nan, len(known))


@dataclass(frozen=True)
class Paired:
    """What pairs of runs tell of a difference.

    Attributes:
        n: number of pairs.
        difference: mean of them; nan without pairs.
        low: lower end of the 95 % bootstrap interval; nan below two pairs.
        high: its upper end.
        p: of Wilcoxon's signed-rank test, two-sided; nan without pairs.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float


def paired(differences: Sequence[float]) -> Paired:
    """Whether the differences `d_i = a_i - b_i` of pairs with the same seed and fold lie about zero.

    The test is Wilcoxon's signed-rank test (1945): ranks of `|d_i|`, summed over the positive ones; exact where n is
    small, differences of zero left out, and p = 1 where all are zero. Runs of several folds share training data, so
    their differences are not independent, and p is too small there.

    Args:
        differences: one for each pair, all known.

    Example:
        >>> paired([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).p
        0.03125
    """
    from scipy.stats import wilcoxon

    n = len(differences)
    mean = math.fsum(differences) / n if n else math.nan
    low, high = bootstrap(differences)
    if not any(differences):
        return Paired(n, mean, low, high, 1.0 if n else math.nan)
    return Paired(n, mean, low, high, float(wilcoxon(np.asarray(differences)).pvalue))


def bootstrap(values: Sequence[float], samples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean; see `tandem.utils.resampling`.

    Args:
        values: none of them nan; for fewer than two the interval is not defined (nan).
        samples: how many are drawn.
        seed: the same one gives the same interval.

    Example:
        >>> low, high = bootstrap([1.0, 2.0, 3.0, 4.0])
        >>> 1 <= low < 2.5 < high <= 4
        True
    """
    known = np.asarray(values, dtype=np.float64)
    drawn = BootstrapSamples(samples, seed, np.arange(len(known)), "pcg64")
    low, high = intervals(lambda weights: {"mean": weights @ known / max(len(known), 1)}, drawn)["mean"]
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for being several (Holm, 1979): the chance of any false alarm among them stays at the level.

    Sorted upwards, the k-th of m becomes `max_{j <= k} min(1, (m - j + 1) p_j)`; nan counts as no test.

    Args:
        p_values: in any order.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted((index for index, p in enumerate(p_values) if not math.isnan(p)), key=lambda index: p_values[index])
    corrected = list(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def pairs_needed(tests: int) -> int:
    """The least number of pairs with which Wilcoxon's test can come out below the level after Holm's correction.

    Of n pairs the smallest p is `2^(1 - n)`, which the first of m tests multiplies by m.

    Args:
        tests: m, at least 1.

    Example:
        >>> pairs_needed(1), pairs_needed(26)
        (6, 11)
    """
    return next(n for n in range(1, 100) if tests * 2.0 ** (1 - n) < LEVEL)
