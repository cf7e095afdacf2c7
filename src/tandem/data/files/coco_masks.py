"""Draws COCO's segmentations: polygons and run lengths (Lin et al., "Microsoft COCO", ECCV 2014)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.errors import DataError

Segmentation = Sequence[Sequence[float]] | Mapping[str, Any]
"""Polygons, each as x1, y1, x2, y2, ...; or run lengths, `{"size": [height, width], "counts": [...] or text}`."""


def draw(segmentation: Segmentation, height: int, width: int) -> NDArray[np.bool_]:
    """Draws one segmentation as a mask.

    A polygon contains the pixels whose centres lie inside (even-odd rule); several polygons are merged.

    Args:
        segmentation: polygons or run lengths.
        height: height of the image in pixels.
        width: its width.

    Returns:
        (height, width).

    Raises:
        DataError: a polygon of fewer than three points, or run lengths that do not fit the image.
    """
    if isinstance(segmentation, Mapping):
        return _runs(segmentation, height, width)
    mask = np.zeros((height, width), dtype=np.bool_)
    for polygon in segmentation:
        if len(polygon) < 6 or len(polygon) % 2:
            raise DataError(f"a polygon has {len(polygon)} numbers, but needs x and y of three points at least")
        mask |= _polygon(np.asarray(polygon, dtype=np.float64).reshape(-1, 2), height, width)
    return mask


def _polygon(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels whose centres have an odd number of edges to their left."""
    if not np.isfinite(points).all():
        raise DataError("a polygon has a coordinate that is no finite number")
    ends = np.roll(points, -1, axis=0)
    crossings = np.zeros((height, width + 1), dtype=np.int64)
    for (x0, y0), (x1, y1) in zip(points, ends, strict=True):
        low, high = sorted((y0, y1))
        rows = np.arange(max(0, int(np.ceil(low - 0.5))), min(height, int(np.ceil(high - 0.5))))
        if len(rows):
            at = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            first = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)  # the first pixel right of the edge
            np.add.at(crossings, (rows, first), 1)
    inside: NDArray[np.bool_] = crossings.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


def _runs(segmentation: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """Run lengths of 0 and 1 in turn, column by column."""
    counts, size = segmentation.get("counts"), list(segmentation.get("size", (height, width)))
    if size != [height, width]:
        raise DataError(f"run lengths are of an image of {size[::-1]}, but their image is {[width, height]}")
    runs = decode_counts(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise DataError("run lengths are not whole numbers from 0")
    if sum(runs) != height * width:
        raise DataError(f"run lengths do not add up to the {height * width} pixels of their image")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def decode_counts(text: str) -> list[int]:
    """Decodes compressed run lengths.

    A number has 5 bits in each character from `0` on, the lowest first, with a bit for "more follows" and a sign. From
    the fourth run on, it is the difference to the last but one.

    Example:
        >>> decode_counts("52202")
        [5, 2, 2, 2, 4]

    Raises:
        DataError: the text ends within a number, or has other characters.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise DataError(f"compressed run lengths have the character {character!r}")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        number -= (bits & 16) << 1 << (shift - 5)
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number = shift = 0
    if shift:
        raise DataError("compressed run lengths end within a number")
    return runs
