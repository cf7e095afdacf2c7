"""Distances between borders in millimetres, against scipy's distance transform with the size of the pixels."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from tandem.metrics import AreaError, HausdorffDistance95, SurfaceDice
from tandem.metrics.catalogue import CATALOGUE
from tandem.metrics.stored import agreed


def blobs(seed: int) -> tuple[Tensor, Tensor]:
    """Two masks, (17, 23)."""
    rng = np.random.default_rng(seed)
    found = [ndimage.gaussian_filter(rng.normal(size=(17, 23)), 3) for _ in range(2)]
    one, other = (torch.from_numpy(part > np.quantile(part, 0.7)) for part in found)
    return one, other


def border(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask that touch its outside at a side."""
    edge: np.ndarray = mask & ~ndimage.binary_erosion(mask)
    return edge


def distances(one: np.ndarray, other: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """From each border pixel of one mask to the border of the other, in millimetres."""
    away: np.ndarray = ndimage.distance_transform_edt(~border(other), sampling=size)[border(one)]
    return away


SIZES = [(1.0, 1.0), (0.5, 0.5), (0.3, 1.7), (2.0, 0.25)]


@pytest.mark.parametrize("size", SIZES)
def test_distances_are_in_the_unit_of_anisotropic_pixels(size: tuple[float, float]) -> None:
    wanted, shares = [], []
    hd95, surface = HausdorffDistance95(), SurfaceDice(tolerance=1.0)
    for seed in range(6):
        one, other = blobs(seed)
        ways = [distances(*pair, size) for pair in ((one.numpy(), other.numpy()), (other.numpy(), one.numpy()))]
        wanted.append(max(float(np.percentile(way, 95)) for way in ways))
        shares.append(float(np.mean(np.concatenate(ways) <= 1.0)))
        for metric in (hd95, surface):
            metric.update(one[None, None], other[None, None].byte(), torch.tensor([size], dtype=torch.float64))
    assert float(hd95.compute()) == pytest.approx(np.mean(wanted), rel=1e-5)
    assert float(surface.compute()) == pytest.approx(np.mean(shares), rel=1e-5)


def test_each_image_has_its_own_size() -> None:
    one, other = blobs(0)
    both, sizes = (torch.stack([part] * 2)[:, None] for part in (one, other)), torch.tensor([[0.5, 0.5], [2.0, 2.0]])
    metric = HausdorffDistance95()
    predicted, truth = both
    metric.update(predicted, truth.byte(), sizes)
    pixels = HausdorffDistance95()
    pixels.update(predicted, truth.byte())
    assert float(metric.compute()) == pytest.approx(1.25 * float(pixels.compute()), rel=1e-6)


def test_a_missed_lesion_is_as_far_as_the_diagonal_in_millimetres() -> None:
    truth = torch.zeros(1, 1, 31, 41, dtype=torch.uint8)
    truth[..., 3:5, 3:5] = 1
    metric = HausdorffDistance95()
    metric.update(truth > 1, truth, torch.tensor([[0.1, 0.2]]))
    assert float(metric.compute()) == pytest.approx(math.hypot(3, 8))


@pytest.mark.parametrize("metric", [HausdorffDistance95(), SurfaceDice()])
def test_an_image_of_unknown_size_among_others_makes_the_mean_undefined(metric: HausdorffDistance95) -> None:
    one, other = blobs(1)
    predicted, truth = (torch.stack([part] * 2)[:, None] for part in (one, other))
    metric.update(predicted, truth.byte(), torch.tensor([[0.5, 0.5], [math.nan, math.nan]]))
    assert math.isnan(metric.compute())
    metric.reset()
    empty = truth.byte() * torch.tensor([1, 0], dtype=torch.uint8)[:, None, None, None]  # left out, so it costs nothing
    metric.update(predicted, empty, torch.tensor([[0.5, 0.5], [math.nan, math.nan]]))
    assert not math.isnan(metric.compute())


def test_metrics_without_a_unit_take_no_size() -> None:
    assert [metric.needs_spacing for metric in (AreaError(), HausdorffDistance95(), SurfaceDice())] == [
        False,
        True,
        True,
    ]


def test_runs_in_millimetres_and_in_pixels_are_not_ranked_together() -> None:
    from dataclasses import replace

    pixels = CATALOGUE["hd95"]
    sized = replace(pixels, label=pixels.unit_label)
    key = "segmentation/hd95"
    assert agreed([{key: sized}, {key: sized}])[key] == sized
    mixed = agreed([{key: sized}, {key: pixels}])[key]
    assert (mixed.label, mixed.direction) == ("HD95 in mm or HD95 in pixels", None)
