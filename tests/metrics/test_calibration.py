"""Calibration and Brier score, against torchmetrics and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss
from torchmetrics.classification import BinaryCalibrationError

from tandem.metrics import BinnedCalibrationError, BrierScore


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_error_is_that_of_torchmetrics(bins: int) -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(20, 1, 6, 6, generator=generator)
    target = (torch.rand(p.shape, generator=generator) < p**2).long()
    target[0] = 255
    ours, theirs = BinnedCalibrationError(bins=bins), BinaryCalibrationError(n_bins=bins, ignore_index=255)
    ours.update(p, target)
    theirs.update(p, target)
    assert float(ours.compute()) == pytest.approx(float(theirs.compute()), abs=1e-6)


def test_nothing_known_is_nan() -> None:
    metric = BinnedCalibrationError()
    metric.update(torch.rand(2, 1), torch.full((2, 1), 255))
    assert math.isnan(metric.compute())


def test_a_probability_of_nan_is_no_number_in_the_end() -> None:
    metric = BinnedCalibrationError()
    metric.update(torch.tensor([[0.2], [math.nan]]), torch.tensor([[0], [1]]))
    assert math.isnan(metric.compute())


@pytest.mark.parametrize("batch", [1, 4, 30])
def test_the_brier_score_is_that_of_scikit_learn(batch: int) -> None:
    rng = np.random.default_rng(0)
    p = torch.from_numpy(rng.dirichlet([1, 1, 1], 30))
    target = torch.from_numpy(rng.integers(0, 3, 30))
    metric = BrierScore(num_classes=3)
    for start in range(0, 30, batch):
        metric.update(p[start : start + batch], target[start : start + batch])
    expected = brier_score_loss(target.numpy(), p.numpy(), labels=[0, 1, 2], scale_by_half=False)
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)
