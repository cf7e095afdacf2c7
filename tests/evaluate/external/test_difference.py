"""The interval of a difference agrees with scipy's bootstrap of two samples, and with theory."""

import numpy as np
import pytest
from scipy import stats

from tandem.evaluate.bootstrap import Array, BootstrapSamples
from tandem.evaluate.external.difference import difference
from tandem.utils.resampling import Statistic


def mean(values: Array) -> Statistic:
    return lambda weights: {"mean": weights @ values / weights.sum(1)}


def draws(count: int, seed: int, groups: int | None = None) -> BootstrapSamples:
    return BootstrapSamples(4000, seed, np.arange(count) if groups is None else np.arange(count) % groups)


def test_a_difference_of_means_has_scipys_bootstrap_interval() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(2, 3, 80), rng.normal(0, 1, 120)
    theirs, gap = difference(mean(a), draws(80, 0), mean(b), draws(120, 1))["mean"]
    assert (theirs.value, gap.value) == pytest.approx((b.mean(), a.mean() - b.mean()))
    oracle = stats.bootstrap((a, b), lambda x, y: x.mean() - y.mean(), method="percentile", vectorized=False,
                             n_resamples=4000, rng=np.random.default_rng(2)).confidence_interval  # fmt: skip
    assert (gap.low, gap.high) == pytest.approx((oracle.low, oracle.high), abs=0.08)
    error = np.sqrt(a.var(ddof=1) / 80 + b.var(ddof=1) / 120)
    assert (gap.high - gap.low) / 2 == pytest.approx(1.96 * error, rel=0.06)


def test_groups_are_drawn_whole() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=10), 6)
    groups = np.repeat(np.arange(10), 6)
    single = difference(mean(values), draws(60, 0), mean(values), draws(60, 1))["mean"][1]
    grouped = BootstrapSamples(4000, 0, groups)
    whole = difference(mean(values), grouped, mean(values), BootstrapSamples(4000, 1, groups))["mean"][1]
    assert whole.high - whole.low > 1.8 * (single.high - single.low)


def test_where_nothing_varies_the_interval_has_a_width() -> None:
    right = np.ones(20)
    _, gap = difference(mean(right), draws(20, 0), mean(right[:10]), draws(10, 1))["mean"]
    assert gap.value == 0
    assert gap.low == pytest.approx(-(1 - stats.binomtest(20, 20).proportion_ci(method="wilson").low))
    assert gap.high == pytest.approx(1 - stats.binomtest(10, 10).proportion_ci(method="wilson").low)


def test_what_one_set_does_not_define_has_no_interval() -> None:
    nothing: Statistic = lambda weights: {"mean": np.full(len(weights), np.nan)}  # noqa: E731
    _, gap = difference(nothing, draws(5, 0), mean(np.arange(5.0)), draws(5, 1))["mean"]
    assert np.isnan([gap.value, gap.low, gap.high]).all()
