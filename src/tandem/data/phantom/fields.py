r"""Random fields and shapes on a pixel grid, computed only with sums, products, quotients and square roots.

IEEE 754 rounds these operations correctly, while `exp`, `sin` or `atan2` differ in the last bit between maths
libraries and between vector widths. So an image computed with them has the same bits everywhere, and single precision
is as safe as double. Sums over an axis run in a fixed order or over integers, because numpy does not define the order
of a floating-point reduction.

Positions are relative to the image: x runs from 0 (left) to 1 (right), y from 0 (top, at the probe) to 1 (depth).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Field = NDArray[np.float32]


def pixel_field(values: ArrayLike) -> Field:
    """Converts numbers to single precision, the type of everything that has a value per pixel."""
    return np.asarray(values, dtype=np.float32)


def centres(size: int) -> Floats:
    """Returns the positions of pixel centres along one axis, (size,) in (0, 1)."""
    return (np.arange(size) + 0.5) / size


def between(draw: Floats, low: ArrayLike, high: ArrayLike) -> Floats:
    """Scales uniform draws from [0, 1) to [low, high)."""
    lowest = np.asarray(low, dtype=np.float64)
    return lowest + draw * (np.asarray(high, dtype=np.float64) - lowest)


def ramp(values: Field) -> Field:
    """A soft step: 0 below -1/2, 1 above 1/2, linear between."""
    step: Field = np.clip(values + np.float32(0.5), np.float32(0), np.float32(1))
    return step


def bump(squares: Field) -> Field:
    r"""A bump as a function of the squared distance: \((1 - d^2)^2\) for d < 1, else 0."""
    hill: Field = np.maximum(np.float32(1) - squares, np.float32(0))
    return hill * hill


def decay(exponent: Floats) -> Floats:
    r"""Attenuation by 64 equal layers, \((1 - x/64)^{64} \approx e^{-x}\), for x in [0, 64]; within 4% for x < 2."""
    power = 1 - exponent / 64
    for _ in range(6):
        power = power * power
    return power


def ordered_sum(values: Floats) -> Floats:
    """Sums over the last axis, from left to right."""
    total: Floats = np.cumsum(values, axis=-1)[..., -1]
    return total


def _weights(size: int, cells: int) -> tuple[NDArray[np.intp], Field]:
    """Returns the grid cell of each pixel, and its interpolation weight (3t^2 - 2t^3) between the cell's two nodes."""
    position = centres(size) * cells
    cell = np.floor(position).astype(np.intp)
    place = position - cell
    return cell, pixel_field(place * place * (3 - 2 * place))


def wave(nodes: Floats, size: int) -> Field:
    """Interpolates smooth curves through equally spaced random heights (value noise in one dimension).

    Args:
        nodes: (N, cells + 1) heights.
        size: pixels along the curve.

    Returns:
        (N, size) curves within the range of their nodes.
    """
    cell, place = _weights(size, nodes.shape[1] - 1)
    heights = pixel_field(nodes)
    left = heights[:, cell]
    return left + (heights[:, cell + 1] - left) * place


def clouds(nodes: Floats, size: int) -> Field:
    """Interpolates smooth fields through random values on a grid (value noise in two dimensions).

    Args:
        nodes: (N, rows + 1, columns + 1) values.
        size: height and width in pixels.

    Returns:
        (N, size, size) fields within the range of their nodes.
    """
    count, rows, columns = nodes.shape
    # Interpolate columns first, while there are few rows; the second gather then copies whole rows.
    wide = wave(nodes.reshape(count * rows, columns), size).reshape(count, rows, size)
    cell, place = _weights(size, rows - 1)
    upper = wide[:, cell]
    lower = wide[:, cell + 1]
    lower -= upper
    lower *= place[:, None]
    lower += upper
    return lower


def lookup(table: Field, position: Field) -> Field:
    """Looks up the position of each pixel in the table of its image.

    Args:
        table: (N, bins) values.
        position: (N, H, W) positions in [0, 1]; positions outside read the first or the last bin.

    Returns:
        (N, H, W) values.
    """
    count, bins = table.shape
    index = (position * np.float32(bins)).astype(np.int32)
    np.clip(index, 0, bins - 1, out=index)
    index += (np.arange(count, dtype=np.int32) * bins)[:, None, None]
    return np.take(table.ravel(), index)
