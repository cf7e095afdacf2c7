"""Verdicts against scipy's test of two means."""

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind_from_stats

from tandem.errors import ConfigError
from tandem.paper.verdict import judge, summary_of
from tandem.study.statistics import Summary

MEAN, STD, N = st.floats(0, 1), st.floats(0.001, 0.3), st.integers(3, 8)


@settings(max_examples=50, deadline=None)
@given(MEAN, STD, N, MEAN, STD, N)
def test_reproduced_where_welchs_test_shows_nothing(
    m1: float, s1: float, n1: int, m2: float, s2: float, n2: int
) -> None:
    p = ttest_ind_from_stats(m1, s1, n1, m2, s2, n2, equal_var=False).pvalue
    assume(abs(p - 0.05) > 1e-6)
    found = judge("t", "r", "c", Summary(m1, s1, n1), Summary(m2, s2, n2))
    assert found.rule == "Welch"
    assert (found.words == "reproduced") == (p > 0.05)
    assert (found.interval[0] <= 0 <= found.interval[1]) == (p > 0.05)


@pytest.mark.parametrize(
    ("ours", "published", "words", "rule"),
    [
        (Summary(math.nan, math.nan, 0), Summary(0.5, 0.1, 4), "not run", ""),
        (Summary(0.69, math.nan, 1), Summary(0.5, 0.1, 4), "reproduced", "2 std"),
        (Summary(0.71, math.nan, 1), Summary(0.5, 0.1, 4), "not reproduced: higher", "2 std"),
        (Summary(0.29, 0.01, 4), Summary(0.5, 0.1, 1), "not reproduced: lower", "2 std"),
        (Summary(0.5, 0.01, 4), Summary(0.5, math.nan, 1), "cannot be told", ""),
        (Summary(0.0, 0.0, 4), Summary(0.0, 0.0, 4), "reproduced", "Welch"),
        (Summary(0.1, 0.0, 4), Summary(0.0, 0.0, 4), "not reproduced: higher", "Welch"),
    ],
)
def test_other_cases(ours: Summary, published: Summary, words: str, rule: str) -> None:
    found = judge("t", "r", "c", ours, published)
    assert (found.words, found.rule) == (words, rule)


def test_fewer_than_three_runs_have_no_interval_of_their_own() -> None:
    assert judge("t", "r", "c", Summary(0.69, 0.001, 2), Summary(0.5, 0.1, 4)).rule == "2 std"


def test_folds_make_the_interval_wider_by_the_overlap_of_their_training_images() -> None:
    ours, published = Summary(0.6, 0.02, 4), Summary(0.5, 0.02, 4)
    seeds, folds = judge("t", "r", "c", ours, published), judge("t", "r", "c", ours, published, overlap=0.25)
    widths = [one.interval[1] - one.interval[0] for one in (seeds, folds)]
    assert widths[1] == pytest.approx(widths[0] * (1 / 4 + 0.25) ** 0.5 * 2)


def test_how_a_published_number_is_written() -> None:
    assert summary_of([0.5, 0.1], 4) == Summary(0.5, 0.1, 4)
    assert math.isnan(summary_of(0.5, None).std)
    wrong: list[Any] = ["0.5", [], [1, 2, 3], [0.5, "x"]]
    for number in wrong:
        with pytest.raises(ConfigError, match=r"must be \[mean, std\]"):
            summary_of(number, 4)
