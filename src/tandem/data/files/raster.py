"""The pixels of one image in the precision of its file, and how they become what a network sees."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.files.placement import Placement

LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601 weights of red, green and blue."""

COLOURFUL = 40 / 255
"""A pixel counts as coloured if its channels differ by more than this share of the image's levels; JPEG noise in a
grey image stays below."""

Levels = tuple[float, float]
"""The levels that become black (0) and white (1)."""

BYTE: Levels = (0.0, 255.0)
"""The levels of files with 8 bits per channel."""


LOWEST = float(np.finfo(np.float32).min)
"""Padding of float32 images: below every level, so that it is black whatever the levels of black and white are."""


@dataclass(frozen=True)
class Header:
    """What the header of an image file says.

    Attributes:
        width: width in pixels, as stored.
        height: height in pixels, as stored.
        mode: how pixels are stored: Pillow's mode, DICOM's photometric interpretation, or NIfTI's kind of number.
        format: file format, such as PNG.
    """

    width: int
    height: int
    mode: str
    format: str


@dataclass(frozen=True)
class Raster:
    """A decoded image.

    Attributes:
        pixels: (H, W) grey or (H, W, 3) RGB levels as the file has them, upright and without transparency: uint8 for
            files of at most 8 bits per channel, uint16 for unsigned files of up to 16 bits, float32 for all others.
        spacing: height and width of a pixel in millimetres; None if the file does not state them.
        orientation: EXIF orientation tag that was applied, or the one with the effect of a NIfTI affine, 1 to 8; 1 if
            there is none.
        transparent: whether the file has pixels that are not opaque.
    """

    pixels: NDArray[Any]
    spacing: tuple[float, float] | None = None
    orientation: int = 1
    transparent: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def deep(self) -> bool:
        """Whether its levels are not those of 8 bits, so that black and white have to be known."""
        return bool(self.pixels.dtype != np.uint8)

    @property
    def coloured(self) -> bool:
        """Whether more than one pixel in a thousand is coloured."""
        if self.pixels.ndim == 2:
            return False
        apart = self.pixels.max(2) - self.pixels.min(2)
        whole = float(self.pixels.max()) - float(self.pixels.min()) if self.deep else 255.0
        return bool((apart > COLOURFUL * whole).mean() > 0.001)


def fit(raster: Raster, size: int, channels: int, how: str = "squash") -> NDArray[Any]:
    """Fits an image into a square, bilinear with antialiasing.

    Args:
        raster: the image.
        size: side of the result in pixels.
        channels: 1 for grey (ITU-R 601 luma, which keeps the levels of grey RGB images), 3 for RGB.
        how: `squash` stretches it, `pad` and `crop` keep its aspect ratio, `native` also its pixels; one of `WHOLES`
            has as many rows and columns as the image needs; see `tandem.data.files.placement`. Padding is 0, or
            `LOWEST` in float32: black, whatever the levels of black and white are.

    Returns:
        (channels, size, size), or (channels, rows, columns) of the whole image; of the dtype of the pixels.
    """
    pixels = raster.pixels
    place = Placement(how, pixels.shape[0], pixels.shape[1], size)
    if place.stretched:
        return _squashed(pixels, channels, place.cells[::-1])
    if how == "crop":
        return _squashed(place.cropped(pixels), channels, (size, size))
    top, bottom, left, right = place.frame
    found = np.full((channels, *place.cells), LOWEST if pixels.dtype == np.float32 else 0, pixels.dtype)
    if place.unscaled:
        found[:, top:bottom, left:right] = _squashed(pixels[place.box], channels, (right - left, bottom - top))
        return found
    scale, margin = place.side / size, 2 * math.ceil(max(1.0, place.side / size)) + 1
    rows, columns = (margin, 0) if pixels.shape[0] < pixels.shape[1] else (0, margin)
    wide = np.pad(pixels, [(rows, rows), (columns, columns), (0, 0)][: pixels.ndim], mode="edge")
    above, beside = (start - more for start, more in zip(place.offset, (rows, columns), strict=True))
    box = (left * scale - beside, top * scale - above, right * scale - beside, bottom * scale - above)
    found[:, top:bottom, left:right] = _squashed(wide, channels, (right - left, bottom - top), box)
    return found


def _squashed(
    pixels: NDArray[Any], channels: int, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> NDArray[Any]:
    """Resizes (H, W) or (H, W, 3), or a box of it (left, top, right, bottom), to a width and height: channels first."""
    from PIL import Image

    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels)).convert("L" if channels == 1 else "RGB")
        shrunk = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box)).reshape(*size[::-1], channels)
        return np.array(shrunk.transpose(2, 0, 1), order="C")
    levels = pixels.astype(np.float32)
    if levels.ndim == 3 and channels == 1:
        levels = levels @ np.array(LUMA, np.float32)
    parts = np.moveaxis(levels, -1, 0) if levels.ndim == 3 else levels[None]
    resized = [_resize(np.ascontiguousarray(part), size, box) for part in parts]
    found = np.stack(resized if len(resized) == channels else resized * channels)
    return np.rint(found).astype(np.uint16) if pixels.dtype == np.uint16 else found


def to_unit(pixels: Tensor, levels: Tensor | None = None) -> Tensor:
    """Maps levels to [0, 1], linearly and clipped: the one place where levels become what a network sees.

    Args:
        pixels: (N, C, H, W) of any dtype.
        levels: (N, 2) or (2,), the levels of black and white of each image; None: 0 and 255, which need no clipping.

    Returns:
        (N, C, H, W) float32; for levels 0 and 255, the same bits as without levels.
    """
    found = pixels.float() if pixels.dtype != torch.float32 else pixels.clone()
    if levels is None:
        return found.div_(255)
    black, white = levels.float().unbind(-1)
    shape = (-1, *[1] * (pixels.ndim - 1)) if levels.ndim == 2 else ()
    return found.sub_(black.reshape(shape)).div_((white - black).reshape(shape)).clamp_(0, 1)


def byte_view(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretches deep levels to 0 to 255, for display and for the search for duplicates only; uint8 stays as it is.

    Half a percent of the pixels is clipped at either end, so that a marker or a dead pixel does not hide the rest.
    """
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.quantile(pixels, (0.005, 0.995))
    if low == high:
        low, high = float(pixels.min()), float(pixels.max())
    found: NDArray[np.uint8] = np.rint(np.clip((pixels - low) * (255 / ((high - low) or 1)), 0, 255)).astype(np.uint8)
    return found


def _resize(
    levels: NDArray[np.float32], size: tuple[int, int], box: tuple[float, float, float, float] | None
) -> NDArray[np.float32]:
    from PIL import Image

    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BILINEAR, box))
