"""Windows of the network's size that pass over a larger image, and the mean of their maps."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SIGMA = 0.125
"""Standard deviation of a window's weights, as a share of its side."""

LEAST = 1e-3
"""Smallest weight of a pixel, so that no pixel divides by 0."""


class Windows(NamedTuple):
    """Attributes: side of a window in cells, and the share of it that its neighbour covers too, in [0, 1)."""

    side: int
    overlap: float


def starts(length: int, windows: Windows) -> list[int]:
    """Where windows start along an axis: one step after the other, the last one at the end of the image.

    The step is `side * (1 - overlap)`, rounded down, at least 1.

    Args:
        length: of the axis; a window is cut to it.
        windows: their side and overlap.

    Example:
        >>> starts(100, Windows(64, 0.5)), starts(64, Windows(64, 0.5)), starts(40, Windows(64, 0.5))
        ([0, 32, 36], [0], [0])
    """
    rest, step = max(0, length - windows.side), max(1, int(windows.side * (1 - windows.overlap)))
    return [min(start, rest) for start in range(0, rest + step, step)]


def cut(image: Tensor, windows: Windows) -> Tensor:
    """Cuts an image, row by row: (C, H, W) to (N, C, h, w), where h and w are the side, or less if the image is less.

    Args:
        image: the image.
        windows: their side and overlap.
    """
    rows, columns = image.shape[-2:]
    height, width = min(rows, windows.side), min(columns, windows.side)
    return torch.stack([image[:, y : y + height, x : x + width] for y, x in _corners(rows, columns, windows)])


def joined(maps: Tensor, size: tuple[int, int], windows: Windows) -> Tensor:
    """The mean of the maps of windows at each place of the image, weighted with `importance`.

    `p(x) = sum_i w(x - c_i) p_i(x) / sum_i w(x - c_i)` over the windows i that hold x, with centres c_i. The mean of
    probabilities is a probability, as in ensembles. A single window is returned as it is, bit for bit.

    Source: the Gaussian mean of nnU-Net (Isensee et al., 2021) and of MONAI's sliding window inference.

    Args:
        maps: (N, K, h, w), in the order of `cut`.
        size: H and W of the image.
        windows: their side and overlap.

    Returns:
        (K, H, W), of the dtype of the maps; sums are in float64.
    """
    if len(maps) == 1:
        return maps[0]
    height, width = maps.shape[-2:]
    weight = importance(height, width).to(maps.device)
    total = torch.zeros(maps.shape[1], *size, dtype=torch.float64, device=maps.device)
    weights = torch.zeros(size, dtype=torch.float64, device=maps.device)
    for values, (y, x) in zip(maps, _corners(*size, windows), strict=True):
        total[:, y : y + height, x : x + width] += weight * values
        weights[y : y + height, x : x + width] += weight
    return (total / weights).to(maps.dtype)


def importance(height: int, width: int) -> Tensor:
    """(height, width) float64 weights of a window: a Gaussian with a standard deviation of 1/8 of each side.

    Args:
        height: of the window.
        width: likewise.
    """
    rows, columns = (_bell(length) for length in (height, width))
    return (rows[:, None] * columns).clamp(min=LEAST)


def _bell(length: int) -> Tensor:
    place = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
    return torch.exp(-0.5 * (place / (SIGMA * length)) ** 2)


def _corners(rows: int, columns: int, windows: Windows) -> Sequence[tuple[int, int]]:
    return [(y, x) for y in starts(rows, windows) for x in starts(columns, windows)]
