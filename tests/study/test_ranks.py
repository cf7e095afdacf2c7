"""Mean ranks and Nemenyi's critical difference, against Demsar's table and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tandem.study.ranks import Ranks, rank


@pytest.mark.parametrize(("choices", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_of_the_paper(choices: int, quantile: float) -> None:
    values = np.random.default_rng(0).normal(size=(14, choices))
    expected = quantile * math.sqrt(choices * (choices + 1) / (6 * 14))  # table 5 (a) of Demsar (JMLR 2006)
    assert rank(values.tolist(), higher=True).critical == pytest.approx(expected, abs=1e-3)


@settings(deadline=None, max_examples=15)  # the studentized range takes a tenth of a second
@given(st.integers(3, 6), st.integers(2, 9), st.booleans(), st.integers(0, 999))
def test_ranks_are_those_of_a_loop(choices: int, blocks: int, higher: bool, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, (blocks, choices)) / 4
    found = rank(values.tolist(), higher)
    for choice in range(choices):
        ranks = []
        for block in values:
            better = sum(other > block[choice] if higher else other < block[choice] for other in block)
            ranks.append(better + (1 + sum(other == block[choice] for other in block)) / 2)
        assert found.mean[choice] == pytest.approx(np.mean(ranks))
    assert 0 <= found.p <= 1


def test_p_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(8, 5))
    assert rank(values.tolist(), higher=False).p == stats.friedmanchisquare(*values.T).pvalue


def test_what_is_not_defined_is_nan() -> None:
    for values in ([[1.0, 2.0]] * 5, [[1.0, 2.0, 3.0]]):
        found = rank(values, higher=True)
        assert math.isnan(found.p)
        assert math.isnan(found.critical)
        assert found.groups() == []


def test_equal_choices_are_one_group() -> None:
    found = rank([[0.5, 0.5, 0.5]] * 4, higher=True)
    assert found.p == 1
    assert found.groups() == [(0, 2)]


@pytest.mark.parametrize(
    ("mean", "critical", "groups"),
    [
        ((1.0, 2.0, 3.0), 0.5, []),
        ((1.0, 2.0, 3.0), 1.5, [(0, 1), (1, 2)]),
        ((3.0, 1.2, 1.0, 2.9), 1.0, [(0, 1), (2, 3)]),
        ((1.0, 1.5, 2.0), 5.0, [(0, 2)]),
    ],
)
def test_groups(mean: tuple[float, ...], critical: float, groups: list[tuple[int, int]]) -> None:
    assert Ranks(mean, 9, 0.01, critical).groups() == groups
