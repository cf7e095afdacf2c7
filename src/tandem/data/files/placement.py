"""Where the pixels of a file lie in the square that a network sees, and the way back.

`squash` stretches the image to the square. `pad` and `crop` keep its aspect ratio: the square is that of the longer
side, and the rest of it is padding, or that of the shorter side, and the rest of the image is left out. `native` takes
the pixels as they are: the square in the middle of the image, with padding where the image is smaller.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_PIXEL
from tandem.errors import ConfigError

FITS = ("squash", "pad", "crop", "native")
"""The values of `data.fit`; the first is the neutral one."""

WHOLES = {"crop": "whole", "native": "whole native"}
"""The whole image at the scale of a fit whose square is a part of it: as many cells as it needs, at least a square."""


def check_fit(fit: object) -> str:
    """Returns the option `data.fit`.

    Raises:
        ConfigError: it is none of `FITS`.
    """
    if fit not in FITS:
        raise ConfigError(f"data.fit is {fit!r}: {nearest(str(fit), FITS)}")
    return str(fit)


def fit_of(data: Mapping[str, Any]) -> str:
    """The option `data.fit` of a run's configuration; of mixed data, that of its files, which must all have the same.

    Args:
        data: `data` of the configuration.
    """
    nodes = [data, *(data.get("sources") or {}).values()]
    return check_fit(next((node["fit"] for node in nodes if node.get("fit") is not None), "squash"))


@dataclass(frozen=True)
class Placement:
    """How an image of a file becomes a square, and where it lies in it.

    Attributes:
        fit: `squash`, `pad`, `crop`, `native`, or one of `WHOLES`, for which `cells` are no square.
        height: of the file's image in pixels, upright.
        width: likewise.
        size: side of the network's square in pixels, here called cells.
    """

    fit: str
    height: int
    width: int
    size: int

    @property
    def unscaled(self) -> bool:
        """Whether a cell is a pixel of the file."""
        return self.fit in ("native", WHOLES["native"])

    @property
    def stretched(self) -> bool:
        """Whether the whole image fills all cells; true of square images, unless they are `unscaled`."""
        return self.fit in ("squash", WHOLES["crop"]) or (self.height == self.width and not self.unscaled)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        if self.fit not in WHOLES.values():
            return self.size, self.size
        if self.unscaled:
            return max(self.height, self.size), max(self.width, self.size)
        shorter = min(self.height, self.width)
        return max(1, round(self.height * self.size / shorter)), max(1, round(self.width * self.size / shorter))

    @property
    def side(self) -> int:
        """Side in pixels of the square of the file that becomes the network's; undefined for `squash` and `WHOLES`."""
        if self.unscaled:
            return self.size
        return max(self.height, self.width) if self.fit == "pad" else min(self.height, self.width)

    @property
    def offset(self) -> tuple[int, int]:
        """Row and column of that square at which the image starts; negative where the image is cropped."""
        if self.unscaled:
            return _start(self.cells[0] - self.height), _start(self.cells[1] - self.width)
        return _start(self.side - self.height), _start(self.side - self.width)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the file in a cell, along the height and the width."""
        if self.stretched:
            return self.height / self.cells[0], self.width / self.cells[1]
        return self.side / self.size, self.side / self.size

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """The cells with image in them: top, bottom, left, right; the ends are exclusive. At least one cell."""
        if self.stretched or self.fit == "crop":
            return 0, self.cells[0], 0, self.cells[1]
        top, left = self.offset
        if self.unscaled:
            bottom, right = top + self.height, left + self.width
            return max(0, top), min(self.cells[0], bottom), max(0, left), min(self.cells[1], right)
        return *_inside(top, self.height, self.side, self.size), *_inside(left, self.width, self.side, self.size)

    @property
    def seen(self) -> float:
        """Share of the file's pixels that lie in the square; 1 unless `crop` or `native` leaves some out."""
        if self.fit not in WHOLES:
            return 1.0
        side = min(self.side, self.height), min(self.side, self.width)
        return side[0] * side[1] / (self.height * self.width)

    @property
    def box(self) -> tuple[slice, slice]:
        """Of an `unscaled` image: rows and columns of the file that lie in `frame`."""
        (top, bottom, left, right), (down, across) = self.frame, self.offset
        return slice(top - down, bottom - down), slice(left - across, right - across)

    def cropped(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The central square of (H, W, ...)."""
        top, left = (-start for start in self.offset)
        return pixels[top : top + self.side, left : left + self.side]

    def mask(self, whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fits a mask by nearest neighbour, which creates no new values; padding is 255, so that nothing counts it.

        Args:
            whole: (height, width).

        Returns:
            (size, size), or as many `cells`.
        """
        from PIL import Image

        if self.unscaled:
            top, bottom, left, right = self.frame
            found = np.full(self.cells, MISSING_PIXEL, dtype=np.uint8)
            found[top:bottom, left:right] = whole[self.box]
            return found
        if self.fit == "pad" and not self.stretched:
            top, bottom, left, right = self.frame
            rows, columns = (
                np.clip(_centres(self.side, self.size) - start, 0, length - 1)
                for start, length in zip(self.offset, (self.height, self.width), strict=True)
            )
            found = np.full((self.size, self.size), MISSING_PIXEL, dtype=np.uint8)
            found[top:bottom, left:right] = whole[rows[top:bottom]][:, columns[left:right]]
            return found
        part = whole if self.stretched else np.ascontiguousarray(self.cropped(whole))
        return np.array(Image.fromarray(part).resize(self.cells[::-1], Image.Resampling.NEAREST), dtype=np.uint8)

    def to_file(self, maps: Tensor) -> Tensor:
        """Resizes maps of the network to the file's own size: bilinear, with antialiasing where they shrink.

        Padding is removed, and its values have no influence. Outside the square of `crop` and `native` all values are
        0, which is background: the network has not seen these pixels.

        Args:
            maps: (K, size, size), or as many `cells`, float.

        Returns:
            (K, height, width).
        """
        if self.stretched:
            return _resized(maps, (self.height, self.width))
        if self.unscaled:
            top, bottom, left, right = self.frame
            found = maps.new_zeros(len(maps), self.height, self.width)
            found[:, *self.box] = maps[:, top:bottom, left:right]
            return found
        top, left = self.offset
        if self.fit == "crop":
            found = maps.new_zeros(len(maps), self.height, self.width)
            found[:, -top : self.side - top, -left : self.side - left] = _resized(maps, (self.side, self.side))
            return found
        first, end, start, stop = self.frame
        cells = torch.arange(self.size, device=maps.device)
        content = maps[:, cells.clamp(first, end - 1)][:, :, cells.clamp(start, stop - 1)]
        if self.height < self.width:  # one axis after the other, so that no square of the longer side is in memory
            rows = _resized(content, (self.side, self.size))[:, top : top + self.height]
            return _resized(rows, (self.height, self.width))
        columns = _resized(content, (self.size, self.side))[:, :, left : left + self.width]
        return _resized(columns, (self.height, self.width))


def _start(rest: int) -> int:
    """Half of what is added, or, negative, of what is left out; of an odd number, the end has one more."""
    return rest // 2 if rest >= 0 else -(-rest // 2)


def _centres(side: int, size: int) -> NDArray[np.int64]:
    """The pixel of a square of the file in which the centre of each cell lies."""
    return np.floor((np.arange(size) + 0.5) * side / size).astype(np.int64)


def _inside(start: int, length: int, side: int, size: int) -> tuple[int, int]:
    """The first and the end of the cells whose centre lies in the image; of a thin image, those around it."""
    centres = _centres(side, size)
    found = np.flatnonzero((centres >= start) & (centres < start + length))
    if len(found):
        return int(found[0]), int(found[-1]) + 1
    cell = min(size - 1, math.floor((start + length / 2) * size / side))
    return cell, cell + 1


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
