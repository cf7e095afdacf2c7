"""Statistics over runs: mean and deviation, t intervals, paired differences, Holm; see `docs/statistics.md`.

A study has few runs. The percentile bootstrap over 3 runs covers the mean in 75 % of cases instead of 95 %, so
intervals over runs are t intervals (Student, 1908), and fewer than three runs have none.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

LEVEL = 0.05
"""A p value below it is called significant; intervals cover 1 - LEVEL."""

RULES = 3
"""Version of the rules by which intervals and tests are computed, and of what a table of a study shows. 1: percentile
bootstrap and Wilcoxon's test. 2: no correction for the cells within noise, no training time and parameters."""

LEAST = 3
"""Fewest runs, or pairs, with an interval or a test."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation of the known values.

    Attributes:
        mean: nan where none is known.
        std: with n - 1 in the denominator; nan where fewer than two are known.
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
    """The mean of paired differences, its interval and its test.

    Attributes:
        n: number of differences.
        difference: their mean; nan without any.
        low: lower end of the 95 % t interval; nan below three differences.
        high: its upper end.
        p: of the paired t test, two-sided; nan below three differences.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float

    @property
    def within_noise(self) -> bool:
        """Whether no difference is shown: the interval includes 0, or there is none."""
        return not (self.low > 0 or self.high < 0)


def paired(differences: Sequence[float], overlap: float = 0.0) -> Paired:
    r"""The paired t interval and test of differences `d_i = a_i - b_i`.

    `mean(d) -+ t_{.975, n-1} s sqrt(1/n + overlap)`. With `overlap = n_test / n_train` it is the corrected resampled t
    test of Nadeau and Bengio (Inference for the generalization error, Machine Learning 52, 2003): runs of different
    folds or splits share training images, so that their differences are correlated and `s^2 / n` is too small.

    Args:
        differences: one for each independent pair, or for each split; none of them nan.
        overlap: 0 where the pairs do not share training images by way of different splits; at least 0.

    Example:
        >>> found = paired([0.1, 0.2, 0.3])
        >>> round(found.low, 3), round(found.high, 3), round(found.p, 3)
        (-0.048, 0.448, 0.074)
        >>> paired([0.1, 0.2, 0.3], overlap=0.5).p > found.p
        True
    """
    found = summarise(differences)
    low, high = t_interval(found, overlap)
    return Paired(found.n, found.mean, low, high, _p_value(found, overlap))


def t_interval(found: Summary, overlap: float = 0.0) -> tuple[float, float]:
    """The 95 % t interval of a mean, `mean -+ t_{.975, n-1} s sqrt(1/n + overlap)`; nan below three values.

    Args:
        found: mean, deviation and number of the values.
        overlap: see `paired`.

    Example:
        >>> [round(end, 3) for end in t_interval(summarise([1.0, 2.0, 3.0]))]
        [-0.484, 4.484]
    """
    if found.n < LEAST:
        return math.nan, math.nan
    half = _quantile(found.n) * _error(found, overlap)
    return found.mean - half, found.mean + half


@cache  # a study asks for thousands of intervals of the same few numbers of runs
def _quantile(n: int) -> float:
    """t_{.975, n-1}."""
    from scipy.stats import t

    return float(t.ppf(1 - LEVEL / 2, n - 1))


def _p_value(found: Summary, overlap: float) -> float:
    if found.n < LEAST:
        return math.nan
    from scipy.stats import t

    if (error := _error(found, overlap)) == 0:
        return 0.0 if found.mean else 1.0
    return float(2 * t.sf(abs(found.mean) / error, found.n - 1))


def _error(found: Summary, overlap: float) -> float:
    """Standard error of the mean."""
    return found.std * math.sqrt(1 / found.n + overlap)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for multiple tests (Holm, 1979): the chance of any false alarm among them stays at the level.

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
