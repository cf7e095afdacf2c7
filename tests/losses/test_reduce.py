"""Means and counts over what is valid."""

import math

import pytest
import torch

from tandem.losses.reduce import PER, masked_mean, masked_sum, overlap


def test_mean_is_the_sum_over_the_number() -> None:
    values = torch.tensor([[1.0, 3.0], [math.nan, 100.0]])
    valid = torch.tensor([[True, True], [False, False]])
    assert masked_mean(values, valid) == 2
    assert masked_mean(values[:1], None) == 2


@pytest.mark.parametrize("valid", [None, torch.zeros(0, dtype=torch.bool)], ids=["all", "none"])
def test_mean_of_nothing_is_0(valid: torch.Tensor | None) -> None:
    assert masked_mean(torch.zeros(0), valid) == 0


def test_sum_over_no_dimension_changes_nothing() -> None:
    values = torch.tensor([[1.0, 2.0]])
    assert torch.equal(masked_sum(values, None, ()), values)
    assert torch.equal(masked_sum(values, torch.tensor([[True, False]]), ()), torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize("shape", [(4, 2), (4, 2, 3), (4, 2, 3, 5)], ids=str)
@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("shared", [False, True], ids=["mask for each channel", "one mask for all"])
def test_overlap_counts_each_cell(shape: tuple[int, ...], per: str, shared: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    probability = torch.rand(shape, generator=rng, dtype=torch.float64)
    valid = torch.rand((shape[0], 1, *shape[2:]) if shared else shape, generator=rng) < 0.7
    target = (torch.rand(shape, generator=rng) < 0.5).double() * valid
    found = overlap(probability, target, valid, per)
    for channel in range(shape[1]):
        rows = [slice(None)] if per == "batch" else [slice(i, i + 1) for i in range(shape[0])]
        for i, row in enumerate(rows):
            p, y, v = (x[row, channel] for x in (probability, target, valid.expand(shape)))
            expected = [(p * y * v).sum(), (p * v).sum(), y.sum(), v.sum()]
            for count, value in zip(found, expected, strict=True):
                assert count[channel if per == "batch" else (i, channel)].item() == pytest.approx(value.item())


def test_overlap_without_a_mask_counts_everything() -> None:
    ones = torch.ones(2, 3, 4, 5)
    for per, shape, pixels in (("image", (2, 3), 20), ("batch", (3,), 40)):
        for count in overlap(ones, ones, None, per):
            assert torch.equal(count, torch.full(shape, float(pixels)))
