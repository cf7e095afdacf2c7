"""Temperatures against a search on a fine grid in float64; the mapped threshold decides as before."""

import math

import numpy as np
import pytest
import torch

from tandem.decisions.temperature import fit_temperature, mapped


def loss(z: np.ndarray, y: np.ndarray, temperature: float) -> float:
    """Mean negative log-likelihood, (M,) binary or (M, C), in float64."""
    z = z.astype(np.float64) / temperature
    if z.ndim == 1:
        return float(np.mean(np.logaddexp(0, z) - y * z))
    return float(np.mean(np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]))


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("classes", [1, 4])
def test_no_temperature_of_a_fine_grid_is_better(true: float, classes: int) -> None:
    rng = np.random.default_rng(int(true * 10) + classes)
    z = rng.normal(0, 2, (4000, classes)).astype(np.float32)
    if classes == 1:
        z = z[:, 0]
        y = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(np.int64)
    else:
        y = np.array([rng.choice(classes, p=np.exp(row) / np.exp(row).sum()) for row in z.astype(np.float64)])
    z = z * np.float32(true)  # sure of itself by this factor
    found = fit_temperature(torch.from_numpy(z), torch.from_numpy(y), exclusive=classes > 1)
    grid = np.exp(np.linspace(math.log(0.06), math.log(19), 400))
    assert loss(z, y, found) <= min(loss(z, y, one) for one in grid) + 1e-9
    assert found == pytest.approx(true, rel=0.12)


def test_what_has_no_best_temperature_has_none() -> None:
    z, y = torch.tensor([-2.0, -1.0, 1.0, 2.0]), torch.tensor([0, 0, 1, 1])
    assert math.isnan(fit_temperature(z, y, exclusive=False))  # right everywhere: the colder the better
    assert math.isnan(fit_temperature(z, 1 - y, exclusive=False))  # wrong everywhere: the hotter the better
    assert math.isnan(fit_temperature(z[:0], y[:0], exclusive=False))


@pytest.mark.parametrize("temperature", [0.3, 0.9, 1.7, 8.0])
def test_the_mapped_threshold_decides_as_the_old_one(temperature: float) -> None:
    z = torch.linspace(-9, 9, 4001)
    for threshold in (0.03, 0.37, 0.5, 0.88):
        old = torch.tensor([threshold])
        before, after = torch.sigmoid(z) >= old, torch.sigmoid(z / temperature) >= mapped(old, temperature)
        near = (torch.sigmoid(z) - old).abs() < 1e-6
        assert torch.equal(before | near, after | near)
    assert torch.equal(mapped(torch.tensor([0.2, 0.7]), 1.0), torch.tensor([0.2, 0.7]))
