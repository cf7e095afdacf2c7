"""Decides whether a published number was reproduced."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tandem.errors import ConfigError
from tandem.study.statistics import LEVEL, Summary

DEVIATIONS = 2.0
"""Allowed distance in published standard deviations, where no interval of the difference can be computed."""


@dataclass(frozen=True)
class Verdict:
    """One published number, compared with ours.

    Attributes:
        table: name of the table.
        row: label of the row.
        column: label of the column.
        ours: mean over our runs.
        published: mean over the published runs.
        interval: interval of the difference, ours minus published; (nan, nan) if there is none.
        rule: how the interval was computed: `Welch` or `2 std`.
        words: `reproduced`, `not reproduced: higher`, `not reproduced: lower`, `not run` or `cannot be told`.
    """

    table: str
    row: str
    column: str
    ours: Summary
    published: Summary
    interval: tuple[float, float]
    rule: str
    words: str


def summary_of(number: Any, n: int | None) -> Summary:
    """Converts a published number to mean, standard deviation and n.

    Args:
        number: `[mean, std]`, or the mean alone.
        n: number of runs; None: unknown.

    Raises:
        ConfigError: the number has neither form.
    """
    parts = number if isinstance(number, Sequence) and not isinstance(number, str) else [number]
    if len(parts) not in (1, 2) or not all(isinstance(part, int | float) for part in parts):
        raise ConfigError(f"a published number is {number!r}, but must be [mean, std] or the mean alone")
    return Summary(float(parts[0]), float(parts[1]) if len(parts) == 2 else math.nan, n or 1)


def judge(table: str, row: str, column: str, ours: Summary, published: Summary) -> Verdict:
    r"""Tests whether our mean is compatible with the published mean.

    If both are means of at least two runs with known standard deviations, the 95 % interval of their difference decides
    (Welch, 1947): `m_1 - m_2 -+ t_{.975, v} s`, with `s^2 = s_1^2/n_1 + s_2^2/n_2` and
    `v = s^4 / sum_i (s_i^2/n_i)^2 / (n_i - 1)`. The number is reproduced if the interval contains 0. Otherwise, if a
    standard deviation is published, our mean must lie within two of them (`2 std`). With few runs the intervals are
    wide: "reproduced" means that no difference was shown. Runs of several folds share training data, so that the
    standard deviations are slightly too small.

    Args:
        table: name of the table.
        row: label of the row.
        column: label of the column.
        ours: summary of our runs.
        published: summary of the published runs.

    Example:
        >>> judge("t", "r", "c", Summary(0.80, 0.02, 4), Summary(0.79, 0.03, 4)).words
        'reproduced'
        >>> judge("t", "r", "c", Summary(0.60, 0.02, 4), Summary(0.79, 0.03, 4)).words
        'not reproduced: lower'
    """
    difference = ours.mean - published.mean
    if ours.n == 0:
        return Verdict(table, row, column, ours, published, (math.nan, math.nan), "", "not run")
    if ours.n > 1 and published.n > 1 and not math.isnan(published.std):
        half, rule = _welch(ours, published), "Welch"
    elif not math.isnan(published.std):
        half, rule = DEVIATIONS * published.std, f"{DEVIATIONS:g} std"
    else:
        return Verdict(table, row, column, ours, published, (math.nan, math.nan), "", "cannot be told")
    words = "reproduced" if abs(difference) <= half else f"not reproduced: {'higher' if difference > 0 else 'lower'}"
    return Verdict(table, row, column, ours, published, (difference - half, difference + half), rule, words)


def _welch(one: Summary, two: Summary) -> float:
    """Half the width of the 95 % interval of the difference of two means."""
    from scipy.stats import t

    parts = [found.std**2 / found.n for found in (one, two)]
    square = math.fsum(parts)
    if square == 0:
        return 0.0
    freedom = square**2 / math.fsum(part**2 / (found.n - 1) for part, found in zip(parts, (one, two), strict=True))
    return float(t.ppf(1 - LEVEL / 2, freedom)) * math.sqrt(square)
