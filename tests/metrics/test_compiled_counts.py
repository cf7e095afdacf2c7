"""The compiled loop against a search in float64 one pixel at a time, and what happens where it cannot be compiled."""

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tandem.metrics import DiceSweep, compiled_counts, histogram, logit_thresholds
from tandem.metrics.compiled_counts import CompiledCounts, Loop, compiled_loop, count_rows
from tandem.metrics.histogram import histograms
from tandem.metrics.threshold_index import Buckets

HUNDREDTHS = [round(0.1 + 0.01 * index, 9) for index in range(81)]
GRIDS = {
    "hundredths": HUNDREDTHS,
    "one": [0.3],
    "adjacent": [0.5, 0.5 + 2**-24 * 2, 0.5 + 2**-24 * 4],
    "mirrored": logit_thresholds().tolist(),
}
PROBABILITIES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
TARGETS = (torch.uint8, torch.int64, torch.float32, torch.bool)
KINDS = {255: 0, 0: 1, 1: 2}


compiled = cache(compiled_loop)


@pytest.fixture(params=["python", "numba"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[CompiledCounts]:
    """The loop as Python runs it, and as numba compiles it."""
    counts = CompiledCounts()
    if request.param == "numba":
        pytest.importorskip("numba", reason="the extra numba is not installed")
        counts.loop = compiled()
    else:
        counts.loop = count_rows
    monkeypatch.setattr(histogram, "COMPILED", counts)
    with np.errstate(over="ignore"):  # in Python, numpy tells of sums that wrap around
        yield counts


def searched(p: Tensor, target: Tensor, grid: list[float]) -> list[list[list[int]]]:
    """Counts of one pixel after the other, in float64."""
    edges = torch.tensor(grid, dtype=torch.float32).tolist()
    found = np.zeros((len(p), 4, len(grid) + 3), np.int64)
    for row, (values, truths) in enumerate(zip(p.double().tolist(), target.double().tolist(), strict=True)):
        for value, truth in zip(values, truths, strict=True):
            if value != value:
                bucket = len(grid) + 2
            elif not -1e-38 < value <= 1:
                bucket = len(grid) + 1
            else:
                bucket = sum(value >= edge for edge in edges)
            found[row, KINDS.get(truth, 3), bucket] += 1
    return found.tolist()


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, list[float]]:
    grid = draw(st.sampled_from(list(GRIDS.values())))
    rows, length = draw(st.sampled_from([(1, 1), (1, 40), (3, 17), (4, 0), (0, 4)]))
    edges = torch.tensor(draw(st.permutations(grid))[:5])
    beside = [torch.nextafter(edges, torch.tensor(end)) for end in (0.0, 1.0)]
    nan, inf = float("nan"), float("inf")
    odd = torch.tensor([0.0, -0.0, 1.0, 1e-45, nan, -nan, 1.0000001, -0.1, inf, -inf])
    chance = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    values = torch.cat([edges, *beside, odd, torch.rand(40, generator=chance)]).double()
    values = torch.cat([values, edges.double() - 1e-12])  # beside float32 in float64
    p = values[torch.randint(len(values), (rows, length), generator=chance)].to(draw(st.sampled_from(PROBABILITIES)))
    kinds = torch.tensor([0, 0, 1, 1, 255, 2, 254])
    target = kinds[torch.randint(len(kinds), (rows, length), generator=chance)].to(draw(st.sampled_from(TARGETS)))
    return p, target, grid


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches())
def test_counts_are_those_of_a_search(loop: CompiledCounts, batch: tuple[Tensor, Tensor, list[float]]) -> None:
    p, target, grid = batch
    buckets = Buckets(torch.tensor(grid))
    counts = histograms(p, target, buckets)
    assert counts.dtype == torch.int64
    assert counts.tolist() == searched(p, target, grid)
    assert counts.equal(histogram._in_blocks(p, target, buckets).view(counts.shape))


@pytest.mark.parametrize("name", GRIDS)
def test_no_bit_pattern_leaves_the_bins(name: str, loop: CompiledCounts) -> None:
    # compiled code does not check its indices
    high = torch.arange(-(2**15), 2**15, 97, dtype=torch.int64)
    bits = (high[:, None] * 2**16 + torch.tensor([0, 1, 2**12, 2**16 - 1])).to(torch.int32)
    p = bits.view(torch.float32).reshape(1, -1)
    target = torch.arange(p.numel()).remainder(256).to(torch.uint8)[None]
    buckets = Buckets(torch.tensor(GRIDS[name]))
    counts = histograms(p, target, buckets)
    assert int(counts.sum()) == p.numel()
    assert counts.equal(histogram._in_blocks(p, target, buckets).view(counts.shape))


@pytest.mark.parametrize("images", [True, False])
def test_a_sweep_finds_the_same(images: bool, loop: CompiledCounts, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = torch.Generator().manual_seed(0)
    p = torch.rand((4, 2, 12, 12), generator=chance).transpose(2, 3)  # not contiguous
    target = (p > torch.rand(p.shape, generator=chance)).to(torch.uint8)
    target[1, :, :5] = 255
    found = []
    for counts in (loop, CompiledCounts()):
        monkeypatch.setattr(histogram, "COMPILED", counts)
        sweep = DiceSweep(HUNDREDTHS, images=images)
        sweep.update(p, target)
        sweep.update(p[:0], target[:0])
        found.append(sweep)
    assert torch.cat(found[0].counted).equal(torch.cat(found[1].counted))
    assert found[0].compute().threshold.equal(found[1].compute().threshold)


class Read(list[Any]):
    """A row that notes which of its places are read."""

    def __init__(self, values: Any, reads: Counter[int]) -> None:
        super().__init__(values)
        self.reads = reads

    def __getitem__(self, place: Any) -> Any:
        self.reads[place] += 1
        return super().__getitem__(place)


def test_each_value_is_read_once() -> None:
    buckets = Buckets(torch.tensor(HUNDREDTHS))
    p = torch.rand(1, 500)
    keys, targets = (Read(values, Counter()) for values in (p.view(torch.int32).numpy().view(np.uint32)[0], [1] * 500))
    counts = np.zeros((1, 4 * buckets.size), np.int64)
    tables, offsets = buckets.tables.numpy().view(np.uint32), np.zeros(256, np.uint32)
    with np.errstate(over="ignore"):
        count_rows([keys], [targets], tables, offsets, np.uint32(buckets.shift), counts)  # type: ignore[arg-type]
    assert keys.reads == targets.reads == Counter(range(500))
    assert counts.sum() == 500


def counted_by(counts: CompiledCounts, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts of a few pixels, twice."""
    monkeypatch.setattr(histogram, "COMPILED", counts)
    p, target = torch.tensor([[0.2, 0.4, 0.6]]), torch.tensor([[0, 1, 1]])
    for _ in range(2):
        found = histograms(p, target, Buckets(torch.tensor([0.3]))).flatten().nonzero().flatten().tolist()
    return found


EXPECTED = [4, 9]  # a negative below 0.3; positives above


def test_few_pixels_compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_counts, "compiled_loop", lambda: pytest.fail("compiled"))
    counts = CompiledCounts()
    assert counted_by(counts, monkeypatch) == EXPECTED
    assert counts.pixels == 6


def test_many_pixels_compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def compiled_once() -> Loop:
        made.append(1)
        return count_rows

    monkeypatch.setattr(compiled_counts, "PAYS", 3)
    monkeypatch.setattr(compiled_counts, "compiled_loop", compiled_once)
    counts = CompiledCounts()
    with np.errstate(over="ignore"):
        assert counted_by(counts, monkeypatch) == EXPECTED
        assert counted_by(counts, monkeypatch) == EXPECTED
    assert made == [1]
    assert counts.loop is count_rows


def test_a_device_counts_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_counts, "PAYS", -1)
    counts = CompiledCounts()
    assert not counts.ready(torch.empty(10, device="meta"))
    assert counts.pixels == 0


@pytest.mark.parametrize(
    ("numba", "level", "said"),
    [
        (None, "INFO", "counted without numba, which is quicker; pip install 'tandem-mtl[numba]', or make setup"),
        (ModuleType("numba"), "WARNING", "it cannot compile (cannot import name 'njit' from 'numba'"),
    ],
    ids=["not installed", "broken"],
)
def test_without_numba_one_line_says_so(
    numba: ModuleType | None, level: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "numba", numba)
    monkeypatch.setattr(compiled_counts, "PAYS", -1)
    counts = CompiledCounts()
    with caplog.at_level(logging.INFO):
        assert counted_by(counts, monkeypatch) == EXPECTED
        assert counted_by(counts, monkeypatch) == EXPECTED
    (record,) = caplog.records
    assert record.levelname == level
    assert said in record.getMessage()
