"""Mean and deviation, t intervals, Holm, Pareto and delta-m against scipy and loops; coverage by simulation."""

import math
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tandem.study.delta import delta_m, gain
from tandem.study.pareto import pareto
from tandem.study.statistics import Paired, Summary, holm, paired, summarise, t_interval

NUMBERS = st.floats(-10, 10, allow_nan=False)


@given(st.lists(st.one_of(st.none(), st.just(math.nan), NUMBERS), max_size=12))
def test_summary_is_that_of_the_known_values(values: list[float | None]) -> None:
    known = [value for value in values if value is not None and value == value]
    found = summarise(values)
    assert found.n == len(known)
    assert found.mean == pytest.approx(mean(known), abs=1e-12) if known else math.isnan(found.mean)
    assert found.std == pytest.approx(stdev(known), abs=1e-9) if len(known) > 1 else math.isnan(found.std)


@pytest.mark.parametrize("n", [3, 4, 10])
def test_the_paired_interval_and_test_are_those_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    first, second = rng.normal(0.7, 0.1, n), rng.normal(0.65, 0.1, n)
    theirs = stats.ttest_rel(first, second)
    found = paired((first - second).tolist())
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.n == n
    assert found.difference == pytest.approx((first - second).mean())


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_runs_have_no_interval_and_no_test(n: int) -> None:
    found = paired([0.1 * (index + 1) for index in range(n)])
    assert found.n == n
    assert all(map(math.isnan, (found.low, found.high, found.p)))
    assert found.within_noise
    assert all(map(math.isnan, t_interval(Summary(0.5, 0.1, n))))


def test_equal_runs_raise_no_alarm() -> None:
    assert paired([0.0, 0.0, 0.0]) == Paired(3, 0.0, 0.0, 0.0, 1.0)
    constant = paired([0.5, 0.5, 0.5])
    assert (constant.low, constant.high, constant.p, constant.within_noise) == (0.5, 0.5, 0.0, False)


def test_the_corrected_test_of_nadeau_and_bengio_by_its_formula() -> None:
    values, ratio = [0.02, 0.05, 0.01, 0.04], 1 / 3
    error = stdev(values) * math.sqrt(1 / 4 + ratio)
    found = paired(values, overlap=ratio)
    assert found.p == pytest.approx(2 * stats.t.sf(mean(values) / error, 3))
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 3) * error)


def coverage(samples: np.ndarray, true: float, overlap: float = 0.0) -> float:
    """Share of the (R, n) samples whose interval contains the true mean."""
    ends = [t_interval(Summary(m, s, samples.shape[1]), overlap) for m, s in
            zip(samples.mean(1).tolist(), samples.std(1, ddof=1).tolist(), strict=True)]  # fmt: skip
    return float(np.mean([low <= true <= high for low, high in ends]))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_over_runs_cover_95_percent(n: int) -> None:
    rng = np.random.default_rng(0)
    runs = rng.normal(0.7, 0.02, (3000, n))
    assert 0.93 <= coverage(runs, 0.7) <= 0.97
    seeds = rng.normal(0, 0.03, (3000, n))  # what both runs of a pair share
    difference = (seeds + rng.normal(0.71, 0.01, (3000, n))) - (seeds + rng.normal(0.70, 0.02, (3000, n)))
    assert 0.93 <= coverage(difference, 0.01) <= 0.97


@pytest.mark.parametrize("n", [3, 5, 10])
def test_folds_that_share_training_images_cover_95_percent_only_with_the_correction(n: int) -> None:
    """The model of Nadeau and Bengio: any two runs are correlated by n_test / (n_train + n_test)."""
    rng, ratio = np.random.default_rng(1), 1 / (n - 1)
    shared = ratio / (1 + ratio)
    runs = rng.normal(0.7, math.sqrt(shared), (3000, 1)) + rng.normal(0, math.sqrt(1 - shared), (3000, n))
    assert 0.93 <= coverage(runs, 0.7, overlap=ratio) <= 0.97
    assert coverage(runs, 0.7) < 0.9


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
