"""Blocks, devices and types change no count."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from tandem.metrics import DiceSweep, histogram
from tandem.metrics.histogram import histograms
from tandem.metrics.threshold_index import Buckets

GRID = torch.tensor([0.25, 0.3, 0.5, 0.75])
VALUES = torch.tensor([0, 1, 255, 7], dtype=torch.uint8)


def rows(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    p = torch.rand(shape, generator=generator)
    p.view(-1)[::7] = 0.3
    return p, VALUES[torch.randint(0, 4, shape, generator=generator)]


def one_by_one(p: Tensor, target: Tensor) -> list[list[list[int]]]:
    kinds = {255: 0, 0: 1, 1: 2}
    found = torch.zeros(len(p), 4, len(GRID) + 3, dtype=torch.int64)
    for row in range(len(p)):
        for value, truth in zip(p[row].tolist(), target[row].tolist(), strict=True):
            found[row, kinds.get(truth, 3), int((value >= GRID).sum())] += 1
    return found.tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 100), (70, 3), (200, 1), (2, 64), (5, 0)], ids=str)
@pytest.mark.parametrize(("block", "bins"), [(1 << 15, 1 << 20), (64, 1 << 20), (64, 60), (7, 1)])
def test_blocks_change_no_count(shape: tuple[int, int], block: int, bins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histogram, "BLOCK", block)
    monkeypatch.setattr(histogram, "BINS", bins)
    p, target = rows(*shape)
    assert histograms(p, target, Buckets(GRID)).tolist() == one_by_one(p, target)


def test_a_long_row_of_few_values_is_counted() -> None:
    p = torch.full((2, 70_001), 0.3)
    target = torch.ones(2, 70_001, dtype=torch.uint8)
    target[1, ::2] = 0
    counts = histograms(p, target, Buckets(GRID))
    assert counts[:, 1:3, 2].tolist() == [[0, 70_001], [35_001, 35_000]]
    assert counts.sum() == 140_002


def test_the_way_of_counting_on_a_device_counts_the_same() -> None:
    index = torch.randint(0, 30, (1000,), dtype=torch.int32)
    there = histogram._add_up(index, 32)
    assert there.tolist() == torch.bincount(index, minlength=32).tolist()


FOREIGN = [
    *((value, dtype) for dtype in (torch.float32, torch.float64, torch.float16) for value in (0.5, 2.0, -1.0, 256.0)),
    *((float("nan"), dtype) for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16)),
    *((value, torch.int64) for value in (2.0, 254.0, -1.0, 256.0, 511.0)),
    *((value, torch.int8) for value in (2.0, -1.0)),
]


@pytest.mark.parametrize(("value", "dtype"), FOREIGN, ids=str)
def test_no_other_target_passes_for_a_known_one(value: float, dtype: torch.dtype) -> None:
    target = torch.tensor([[0.0, 1.0, value]]).to(dtype)
    counts = histograms(torch.full((1, 3), 0.4), target, Buckets(GRID))
    assert counts.sum((0, 2)).tolist() == [0, 1, 1, 1]


def test_float64_is_compared_in_float64() -> None:
    grid = torch.tensor([0.3])
    exact = grid.double()
    p = torch.stack([exact, exact - 1e-12, exact + 1e-12, exact - 1e-17], dim=1)
    counts = histograms(p, torch.ones_like(p), Buckets(grid))
    assert counts[0, 2, :2].tolist() == [1, 3], "0.3 - 1e-17 is 0.3"


@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64], ids=str)
def test_an_update_on_a_device_waits_for_nothing(images: bool, dtype: torch.dtype, kind: torch.dtype) -> None:
    # tensors without data: whatever would have to read a value from the device, or size a result by one, raises
    sweep = DiceSweep(images=images)
    with FakeTensorMode(allow_non_fake_inputs=True):
        sweep.thresholds, sweep.buckets.tables, sweep.faults, sweep.channels = (
            torch.empty(part.shape, dtype=part.dtype, device="cuda")
            for part in (sweep.thresholds, sweep.buckets.tables, sweep.faults, sweep.channels)
        )
        shape = (3, 2, 40, 40)
        p, target = torch.empty(shape, dtype=dtype, device="cuda"), torch.empty(shape, dtype=kind, device="cuda")
        for _ in range(2):
            sweep.update(p, target)
        assert sweep.counted[-1].device.type == sweep.faults.device.type == "cuda"
        with pytest.raises(DataDependentOutputException):
            p.max().item()
        with pytest.raises(DynamicOutputShapeException):
            torch.bincount(target.flatten())
