"""The resampler against scipy, PyTorch's own draws and plain loops."""

import numpy as np
import pytest
import scipy.stats
import torch

from tandem.utils import resampling
from tandem.utils.resampling import BootstrapSamples, Draw, halves, intervals, percentiles

DRAWS: list[Draw] = ["multinomial", "pcg64", "mt19937"]


def mean_of(values: np.ndarray) -> resampling.Statistic:
    return lambda weights: {"mean": weights @ values / weights.sum(1)}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("level", [0.95, 0.6])
def test_the_interval_of_a_mean_is_that_of_scipy(draw: Draw, level: float) -> None:
    values = np.random.default_rng(1).gamma(2.0, size=40)
    found = intervals(mean_of(values), BootstrapSamples(8000, 0, np.arange(40), draw), level)["mean"]
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=8000, confidence_level=level, rng=np.random.default_rng(0)
    ).confidence_interval
    assert found == pytest.approx([theirs.low, theirs.high], abs=0.03 * values.std())


@pytest.mark.parametrize("draw", DRAWS)
def test_samples_are_whole_groups_in_parts_that_change_nothing(draw: Draw) -> None:
    groups = np.array(["b", "a", "b", "c", "a", "d"])
    samples = BootstrapSamples(101, 3, groups, draw)
    weights = np.concatenate(list(samples.weights()))
    assert weights.shape == (101, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3, 5]].sum(1) == 4).all(), "as many groups as there are"
    assert [len(part) for part in samples.weights(30)] == [30, 30, 30, 11]
    assert np.array_equal(np.concatenate(list(samples.weights(30))), weights)
    assert not np.array_equal(next(BootstrapSamples(101, 4, groups, draw).weights()), weights)


@pytest.mark.parametrize("seed", [0, 7, 123_456_789])
def test_mt19937_draws_what_pytorch_draws(seed: int) -> None:
    drawn = torch.randint(9, (50, 9), generator=torch.Generator().manual_seed(seed))
    loop = np.array([[int((row == group).sum()) for group in range(9)] for row in drawn])
    assert np.array_equal(next(BootstrapSamples(50, seed, np.arange(9), "mt19937").weights()), loop)
    order = torch.rand(50, 9, generator=torch.Generator().manual_seed(seed)).argsort(1)
    assert np.array_equal(next(halves(np.arange(9), 50, seed)), (order < 4).double().numpy())


def test_halves_are_of_groups_and_equally_likely() -> None:
    groups = np.array([5, 5, 1, 2, 3, 3])
    found = np.concatenate(list(halves(groups, 2000, 0, rows=300)))
    assert np.array_equal(found, next(halves(groups, 2000, 0)))
    assert (found[:, 0] == found[:, 1]).all()
    assert (found[:, [0, 2, 3, 4]].sum(1) == 2).all()
    assert found.mean(0) == pytest.approx([0.5] * 6, abs=0.05)


@pytest.mark.parametrize("groups", [[], ["one"], ["one", "one", "one"]])
def test_fewer_than_two_groups_have_no_interval(groups: list[str]) -> None:
    samples = BootstrapSamples(50, 0, np.array(groups))
    found = intervals(lambda weights: {"sum": weights.sum(1), "none": weights.sum(1)}, samples)
    assert list(found) == ["sum", "none"]
    assert np.isnan(list(found.values())).all()


def test_percentiles_leave_out_what_is_not_defined() -> None:
    values = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    known, unknown = percentiles(values, 0.5).T
    assert known == pytest.approx([1.5, 2.5])
    assert np.isnan(unknown).all()


def test_a_subset_and_fewer_samples_keep_everything_else() -> None:
    samples = BootstrapSamples(9, 4, np.array(["a", "a", "b"]), "pcg64")
    assert (samples.over, samples.of([0, 2]).over) == ("2 groups of images", "images")
    assert (samples.at_most(5).samples, samples.at_most(50).samples, samples.of([0]).draw) == (5, 9, "pcg64")
