"""Mean and deviation, bootstrap, Wilcoxon, Holm, Pareto and delta-m against other libraries and loops."""

import itertools
import math
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tandem.study.delta import delta_m, gain
from tandem.study.pareto import pareto
from tandem.study.statistics import bootstrap, holm, paired, pairs_needed, summarise

NUMBERS = st.floats(-10, 10, allow_nan=False)


@given(st.lists(st.one_of(st.none(), st.just(math.nan), NUMBERS), max_size=12))
def test_summary_is_that_of_the_known_values(values: list[float | None]) -> None:
    known = [value for value in values if value is not None and value == value]
    found = summarise(values)
    assert found.n == len(known)
    assert found.mean == pytest.approx(mean(known), abs=1e-12) if known else math.isnan(found.mean)
    assert found.std == pytest.approx(stdev(known), abs=1e-9) if len(known) > 1 else math.isnan(found.std)


def exact_wilcoxon(differences: list[float]) -> float:
    """Two-sided p by going through every choice of signs, zeros left out, ties at their mean rank."""
    kept = [value for value in differences if value]
    ranks = stats.rankdata(np.abs(kept))
    middle = ranks.sum() / 2
    observed = abs(float(ranks[np.asarray(kept) > 0].sum()) - float(middle))
    signs = itertools.product((0, 1), repeat=len(kept))
    extreme = [abs(float(np.dot(chosen, ranks)) - middle) >= observed - 1e-9 for chosen in signs]
    return float(np.mean(extreme))


@pytest.mark.parametrize(
    "differences",
    [
        [0.1], [0.2, -0.1], [0.3, 0.1, 0.2], [0.1, -0.2, 0.3, 0.4, 0.5, -0.6], [0.1, 0.1, 0.1, -0.2, 0.3],
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.5] * 8,
    ],
)  # fmt: skip
def test_wilcoxon_is_exact_for_few_pairs_with_ties_and_zeros(differences: list[float]) -> None:
    found = paired(differences)
    assert found.p == pytest.approx(exact_wilcoxon(differences))
    assert found.difference == pytest.approx(mean(differences))
    assert found.n == len(differences)


def test_no_pairs_and_equal_runs_raise_no_alarm() -> None:
    none, equal = paired([]), paired([0.0, 0.0, 0.0])
    assert (none.n, equal.n, equal.p, equal.difference) == (0, 3, 1.0, 0.0)
    assert math.isnan(none.p)
    assert math.isnan(none.difference)
    assert (equal.low, equal.high) == (0.0, 0.0)


def test_bootstrap_agrees_with_scipy() -> None:
    values = np.random.default_rng(3).normal(0.02, 0.05, 20).tolist()
    other = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert bootstrap(values) == pytest.approx((other.low, other.high), abs=0.002)
    assert bootstrap(values) == bootstrap(values)
    assert all(map(math.isnan, bootstrap([0.5])))


def loop_holm(p_values: list[float]) -> list[float]:
    """By the definition: reject step by step, at each level the smallest at which it is rejected."""
    order = sorted(p_values)
    return [max(min(1.0, (len(order) - place) * order[place]) for place in range(order.index(p) + 1)) for p in p_values]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(loop_holm(p_values))


def test_holm_counts_only_tests_that_were_made() -> None:
    assert holm([0.01, math.nan, 0.02])[::2] == pytest.approx([0.02, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("tests", [1, 2, 3, 26])
def test_fewer_pairs_than_needed_can_never_be_significant(tests: int) -> None:
    needed = pairs_needed(tests)
    assert min(1.0, tests * paired([0.1 * i for i in range(1, needed + 1)]).p) < 0.05
    assert min(1.0, tests * paired([0.1 * i for i in range(1, needed)]).p) >= 0.05


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_pareto_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    def beaten(a: tuple[int, int]) -> bool:
        return any(b[0] >= a[0] and b[1] >= a[1] and b != a for b in points)

    assert sorted(pareto(points)) == [index for index, point in enumerate(points) if not beaten(point)]


def test_pareto_leaves_unknown_points_out() -> None:
    assert pareto([(math.nan, 9.0), (1.0, 1.0), (2.0, math.nan)]) == [1]


def test_delta_m_turns_round_what_is_better_lower() -> None:
    gains = [gain(0.55, 0.5, 1), gain(3.0, 2.0, -1)]
    assert gains == pytest.approx([10.0, -50.0])
    assert delta_m(gains) == pytest.approx(-20.0)
    assert math.isnan(gain(0.5, 0.0, 1))
    assert math.isnan(gain(0.6, 0.5, 0)), "of an unknown direction nothing is a gain"
    assert gain(-1.0, -2.0, 1) == pytest.approx(50.0), "a metric below zero that rose is a gain"
