"""The adaptive histogram, against a loop over single pixels."""

import math
import struct

import pytest
import torch
from torch import Tensor

from tandem.metrics import zoom


def key_and_cell(p: float) -> tuple[int, int]:
    """By the definition: eight cells to each power of 2 of the distance to the nearer of 0 and 1."""
    if math.isnan(p):
        return 0, zoom.NAN
    bits = int(struct.unpack("<i", struct.pack("<f", min(p, 1 - p)))[0])
    if p <= 0.5:
        return bits, max(0, (bits >> 20) - (zoom.LOWEST >> 20) + 1)
    upper = max(0, (bits >> 20) - (0x33800000 >> 20) + 1)
    return 2 * zoom.HALF - bits, zoom.NAN - 1 - upper


def oracle(p: Tensor, target: Tensor) -> Tensor:
    """The state of one channel."""
    state = zoom.empty(1)
    found: dict[int, list[tuple[int, float]]] = {}
    for value, truth in zip(p.flatten().tolist(), target.flatten().tolist(), strict=True):
        key, cell = key_and_cell(value)
        if truth in (0, 1):
            found.setdefault(cell, []).append((key, truth))
    for cell, pixels in found.items():
        low, high = min(pixels)[0], max(pixels)[0]
        shift = next(s for s in range(32) if (high >> s) - (low >> s) < zoom.BINS)
        state[0, cell, :2] = torch.tensor([-low, high])
        for key, truth in pixels:
            side = 0 if truth == 1 else zoom.BINS
            state[0, cell, zoom.EXTREMES + side + (key >> shift) - (low >> shift)] += 1
    return state


def cases() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    random = torch.rand(900, generator=generator)
    return {
        "random": random,
        "narrow": 0.3 + random / 1000,
        "around 0.5": 0.5 + (random - 0.5) * 1e-6,
        "near 0 and 1": torch.cat([10 ** (-44 * random[:450]), 1 - 10 ** (-8 * random[450:])]),
        "ties": (random * 5).round() / 5,
        "0 and 1": random.round(),
        "half precision": torch.sigmoid(torch.randn(900, generator=generator) * 6).half(),
        "powers of 2": torch.cat([2.0 ** -torch.arange(1, 150.0), 1 - 2.0 ** -torch.arange(1, 25.0)]),
        "nan": torch.where(random < 0.1, torch.nan, random),
        "nan with a sign": torch.where(random < 0.1, -torch.tensor(torch.nan), random),
    }


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_a_state_is_that_of_single_pixels_however_they_are_added(name: str, dtype: torch.dtype) -> None:
    p = cases()[name][:, None]
    draw = torch.rand(p.shape, generator=torch.Generator().manual_seed(1))
    target = (draw < 0.3).to(dtype).masked_fill(draw > 0.8, 255)
    expected = oracle(p.float(), target)
    assert zoom.counted(p, target).equal(expected)
    state, untouched = zoom.empty(1), zoom.empty(1)
    for start in (0, 700, 100, 300):
        part = slice(start, {0: 100, 100: 300, 300: 700, 700: None}[start])
        before, kept = state, state.clone()
        state = zoom.added(state, p[part], target[part])
        assert before.equal(kept)
    assert state.equal(expected)
    assert zoom.merged(torch.stack([untouched, state])).equal(expected)


def test_channels_are_counted_apart() -> None:
    p, target = torch.rand(6, 3, 5, 7), (torch.rand(6, 3, 5, 7) < 0.4).to(torch.uint8)
    target[0, :, 0] = 255
    whole = zoom.counted(p, target)
    for channel in range(3):
        assert whole[channel : channel + 1].equal(oracle(p[:, channel], target[:, channel]))


@pytest.mark.parametrize("wrong", [-1.0, -0.0, 1.5, torch.inf, -torch.inf])
def test_a_number_outside_counts_as_0_or_1(wrong: float) -> None:
    target = torch.ones(1, 1)
    assert zoom.counted(torch.tensor([[wrong]]), target).equal(
        zoom.counted(torch.tensor([[min(max(wrong, 0.0), 1.0) + 0.0]]), target)
    )


def test_other_devices_are_not_waited_for() -> None:
    """The meta device has no values, so that a step that waits for one fails."""
    state = zoom.empty(2).to("meta")
    part = zoom.added(state, torch.rand(4, 2, 8, device="meta"), torch.ones(4, 2, 8, device="meta"))
    assert zoom.merged(torch.stack([state, part])).shape == state.shape


def test_the_bins_of_all_cells_are_widened_alike() -> None:
    """Other devices widen all cells, a CPU only those that change."""
    p = cases()["narrow"][:, None]
    part, whole = zoom.counted(p[:50], torch.ones(50, 1)), zoom.counted(p, torch.ones(900, 1))
    old, new = (zoom._bins(state[..., : zoom.EXTREMES]) for state in (part, whole))
    assert not old.equal(new)
    expected = zoom._widened(part, whole[..., : zoom.EXTREMES])[0]
    assert zoom._rebinned(part, old, new)[..., zoom.EXTREMES :].equal(expected[..., zoom.EXTREMES :])
