"""What can be learnt from so few: against scipy's own intervals, and against simulations."""

import numpy as np
import pytest
from scipy import stats

from tandem.plan.precision import mean_width, seen_difference, wilson_width
from tandem.study.statistics import paired


@pytest.mark.parametrize(("recall", "count"), [(0.8, 1), (0.8, 7), (0.5, 40), (0.95, 130)])
def test_the_width_of_a_recall_is_the_mean_of_scipys_intervals(recall: float, count: int) -> None:
    expected = 0.0
    for hits in range(count + 1):
        found = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
        expected += float(stats.binom.pmf(hits, count, recall)) * (found.high - found.low)
    assert wilson_width(recall, count) == pytest.approx(expected, abs=1e-9)


def test_the_sum_over_likely_results_is_enough() -> None:
    exact = 2 * 1.959964 * np.sqrt(0.8 * 0.2 / 5000)
    assert wilson_width(0.8, 5000) == pytest.approx(exact, rel=0.01)


def test_no_images_have_no_width() -> None:
    assert np.isnan(wilson_width(0.8, 0))
    assert np.isnan(mean_width(0.25, 1))
    assert np.isnan(seen_difference(0.02, 2))


@pytest.mark.parametrize("count", [2, 12, 150])
def test_the_width_of_a_mean_is_scipys(count: int) -> None:
    values = np.random.default_rng(0).normal(size=count)
    values = 0.6 + 0.25 * (values - values.mean()) / values.std(ddof=1)
    found = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_width(0.25, count) == pytest.approx(found.high - found.low, rel=1e-9)


@pytest.mark.parametrize(("count", "overlap"), [(5, 0.0), (20, 0.0), (5, 0.25)])
def test_the_smallest_difference_is_found_in_four_of_five_cases(count: int, overlap: float) -> None:
    """Simulated folds share a part, of which the variance is the overlap, as Nadeau and Bengio assume."""
    rng, spread = np.random.default_rng(3), 0.02
    difference = seen_difference(spread, count, overlap)
    shared = rng.normal(0, np.sqrt(overlap) * spread, (1500, 1))
    drawn = difference + shared + rng.normal(0, spread, (1500, count))
    found = sum(paired(list(map(float, row)), overlap).p < 0.05 for row in drawn) / len(drawn)
    assert found == pytest.approx(0.8, abs=0.035)


def test_four_times_as_many_halve() -> None:
    assert wilson_width(0.8, 400) / wilson_width(0.8, 100) == pytest.approx(0.5, abs=0.01)
    assert seen_difference(0.02, 80) / seen_difference(0.02, 20) == pytest.approx(0.5, abs=0.03)
