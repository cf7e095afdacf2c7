"""Curves from histograms, against exact ones of scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tandem.metrics import BinnedAUROC, BinnedAveragePrecision, BinnedCalibrationError
from tandem.metrics.bins import BINS, bin_of


def case(seed: int, count: int = 4000, share: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities that pile up near 0, as pixels do, and targets with some missing."""
    rng = np.random.default_rng(seed)
    target = rng.random(count) < share
    logits = rng.normal(-6 + 4 * target, 2)
    probabilities = torch.from_numpy(1 / (1 + np.exp(-logits))).float()
    labels = torch.from_numpy(target.astype(np.uint8))
    labels[rng.random(count) < 0.1] = 255
    return probabilities, labels


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=50))
@settings(max_examples=100, deadline=None)
def test_bins_rise_with_the_probability(values: list[float]) -> None:
    bins = bin_of(torch.tensor(sorted(values)))
    assert (bins.diff() >= 0).all()
    assert bins.min() >= 0
    assert bins.max() < BINS


def test_bins_are_fine_at_both_ends() -> None:
    assert len(set(bin_of(torch.tensor([1e-6, 1.1e-6, 0.5, 0.51, 1 - 2e-6, 1 - 1e-6])).tolist())) == 6


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_those_of_scikit_learn(seed: int) -> None:
    probabilities, target = case(seed)
    auroc, precision = BinnedAUROC(), BinnedAveragePrecision()
    for metric in (auroc, precision):
        metric.update(probabilities.view(10, 1, 20, 20), target.view(10, 1, 20, 20))
    known = target != 255
    truth, p = target[known].numpy(), probabilities[known].numpy()
    assert float(auroc.compute()) == pytest.approx(roc_auc_score(truth, p), abs=1e-4)
    assert float(precision.compute()) == pytest.approx(average_precision_score(truth, p), abs=5e-3)


@pytest.mark.parametrize("metric", [BinnedAUROC, BinnedAveragePrecision, BinnedCalibrationError])
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_batches_do_not_matter(metric: type[BinnedAUROC], batch: int) -> None:
    probabilities, target = (tensor.view(100, 1, 8, 5) for tensor in case(1))
    whole, parts = metric(), metric()
    whole.update(probabilities, target)
    for start in range(0, 100, batch):
        parts.update(probabilities[start : start + batch], target[start : start + batch])
    assert float(parts.compute()) == pytest.approx(float(whole.compute()), abs=1e-7)


def test_each_question_has_its_own_area() -> None:
    probabilities = torch.tensor([[0.9, 0.9], [0.1, 0.1]])
    metric = BinnedAUROC()
    metric.for_channels(2)
    metric.update(probabilities, torch.tensor([[1, 0], [0, 1]]))
    assert metric.compute().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("target", [0, 1, 255])
def test_one_sided_targets_have_no_area(target: int) -> None:
    metric = BinnedAUROC()
    metric.update(torch.rand(5, 1), torch.full((5, 1), target))
    assert math.isnan(metric.compute())


def test_no_positives_have_no_average_precision() -> None:
    metric = BinnedAveragePrecision()
    metric.update(torch.rand(5, 1), torch.zeros(5, 1))
    assert math.isnan(metric.compute())
