"""Windows over an image: where they lie, and the mean of their maps, compared with MONAI's and with a plain loop."""

import math
from typing import Any

import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor

from tandem.errors import ConfigError
from tandem.runs.overlap import read_windows
from tandem.runs.windows import LEAST, Windows, cut, importance, joined, starts

SIZES = [(16, 16), (16, 40), (33, 16), (37, 50), (17, 16), (8, 30)]
OVERLAPS = [0.0, 0.25, 0.5, 0.7, 0.99]


def answer(tiles: Tensor) -> Tensor:
    """Maps that depend on the place in the window, as those of a network with padding do; (N, 2, h, w)."""
    height, width = tiles.shape[-2:]
    place = torch.linspace(0.2, 1, height).view(-1, 1) * torch.linspace(1, 0.1, width)
    return torch.cat([tiles.sigmoid() * place, tiles.mean((2, 3), keepdim=True).sigmoid() * place], 1)


@pytest.mark.parametrize("overlap", OVERLAPS[:-1])
@pytest.mark.parametrize("size", SIZES[:-1])
def test_equals_monai(size: tuple[int, int], overlap: float) -> None:
    image, windows = torch.randn(1, *size, generator=torch.Generator().manual_seed(1)), Windows(16, overlap)
    found = joined(answer(cut(image, windows)), size, windows)
    (expected,) = sliding_window_inference(
        image[None].double(), (16, 16), 4, lambda tiles: answer(tiles.float()).double(), overlap, mode="gaussian"
    )
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("size", SIZES)
def test_equals_a_loop_over_pixels(size: tuple[int, int], overlap: float) -> None:
    image, windows = torch.randn(1, *size, generator=torch.Generator().manual_seed(1)), Windows(16, overlap)
    tiles = cut(image, windows)
    height, width = tiles.shape[-2:]
    maps = answer(tiles)
    found = joined(maps, size, windows)
    corners = [(y, x) for y in starts(size[0], windows) for x in starts(size[1], windows)]
    assert len(corners) == len(tiles)
    for row in range(0, size[0], 5):
        for column in range(0, size[1], 7):
            total = weights = 0.0
            for values, (y, x) in zip(maps, corners, strict=True):
                r, c = row - y, column - x
                if 0 <= r < height and 0 <= c < width:
                    away = ((r - (height - 1) / 2) / height) ** 2 + ((c - (width - 1) / 2) / width) ** 2
                    weight = max(LEAST, math.exp(-32 * away))
                    total, weights = total + weight * float(values[0, r, c]), weights + weight
            assert float(found[0, row, column]) == pytest.approx(total / weights, rel=1e-6)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 32, 33, 100])
def test_windows_cover_every_place(length: int, overlap: float) -> None:
    found = starts(length, Windows(16, overlap))
    assert sorted(set(found)) == found
    covered = {place for start in found for place in range(start, start + 16)}
    assert covered.issuperset(range(length))
    assert max(found) + min(16, length) == length


def test_one_window_is_the_answer_bit_for_bit() -> None:
    windows = Windows(16, 0.5)
    maps = answer(cut(torch.rand(1, 16, 16), windows))
    assert joined(maps, (16, 16), windows) is maps[0] or torch.equal(joined(maps, (16, 16), windows), maps[0])


def test_weights_are_a_bell() -> None:
    weights = importance(16, 8)
    assert weights.shape == (16, 8)
    assert torch.equal(weights, weights.flip(0, 1))
    assert float(weights[7, 3]) == float(weights.max()) > 0.85
    assert float(weights.min()) == LEAST


@pytest.mark.parametrize("value", [1, 1.0, -0.1, True, "all", "0.5", float("nan"), [0.5]])
def test_what_is_no_overlap_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="but must be none, auto") as error:
        read_windows(value)
    assert "\n" not in str(error.value)
