"""The table against a search, at every place where it could slip."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tandem.errors import ConfigError
from tandem.metrics import logit_thresholds
from tandem.metrics.threshold_index import MOST, Buckets

TENTHS = torch.tensor([round(0.1 + 0.01 * index, 9) for index in range(81)])
HALF = torch.tensor(0.5)
NEXT = torch.nextafter(HALF, torch.tensor(1.0))
GRIDS = {
    "hundredths": TENTHS,
    "thousandths": torch.arange(1, 1000) / 1000,
    "logits": logit_thresholds(),
    "one": torch.tensor([0.5]),
    "powers of two": 2.0 ** torch.arange(-20, 0),
    "three adjacent numbers": torch.stack([HALF, NEXT, torch.nextafter(NEXT, torch.tensor(1.0))]),
    "a pair inside a grid": torch.cat([TENTHS[:41], torch.tensor([0.5 + 1e-6, 0.5 + 2e-6]), TENTHS[41:]]),
    "near 0 and near 1": torch.tensor([1e-45, 1e-40, 1e-20, 1 - 2**-23, 1 - 2**-24]),
}


def probes(grid: Tensor) -> Tensor:
    """Numbers in [0, 1]: everywhere, at each threshold, and one float beside it."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.rand(20_000, generator=generator)
    peaked = torch.sigmoid(8 * torch.randn(20_000, generator=generator))
    beside = [torch.nextafter(grid, torch.tensor(end)) for end in (0.0, 1.0)]
    ends = torch.tensor([0.0, -0.0, 1.0, 1e-45, 1 - 2**-24, 0.25, 0.5, 0.75])
    return torch.cat([spread, peaked, grid, *beside, ends])


@pytest.mark.parametrize("name", GRIDS)
def test_a_bucket_is_what_a_search_finds(name: str) -> None:
    grid = GRIDS[name]
    p = probes(grid)
    found = Buckets(grid)(p)
    assert found.dtype == torch.int32
    assert found.long().equal(torch.bucketize(p, grid, right=True))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.floats(2**-40, 1 - 2**-24, width=32), min_size=1, max_size=60))
def test_any_thresholds_are_found(values: set[float]) -> None:
    grid = torch.tensor(sorted(values))
    p = probes(grid)
    assert Buckets(grid)(p).long().equal(torch.bucketize(p, grid, right=True))


@pytest.mark.parametrize("name", GRIDS)
def test_what_is_no_probability_has_a_bucket_of_its_own(name: str) -> None:
    grid = GRIDS[name]
    buckets = Buckets(grid)
    outside = torch.tensor([1 + 2**-23, 1.01, 2.0, 255.0, 3e38, torch.inf, -1e-30, -0.5, -1.0, -3e38, -torch.inf])
    assert set(buckets(outside).tolist()) == {len(grid) + 1}
    bits = torch.tensor([0x7F800001, 0x7FC00000, 0x7FFFFFFF, -0x7FFFFF, -0x400000, -1], dtype=torch.int32)
    assert set(buckets(bits.view(torch.float32)).tolist()) == {len(grid) + 2} == {buckets.size - 1}


@pytest.mark.parametrize(("name", "layers"), [("hundredths", 1), ("thousandths", 1), ("logits", 1), ("one", 1)])
def test_usual_grids_need_one_look_at_one_small_table(name: str, layers: int) -> None:
    buckets = Buckets(GRIDS[name])
    assert buckets.tables.shape[0] == layers
    assert buckets.tables.numel() <= 2**18


def test_too_many_thresholds_are_refused() -> None:
    with pytest.raises(ConfigError, match="65537 thresholds are given, but at most 65536 are supported"):
        Buckets(torch.linspace(0.1, 0.9, MOST + 1))
