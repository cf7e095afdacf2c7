"""Reads image files: one list of formats and one function for every command."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.files import pillow_reader
from tandem.data.files.raster import Raster, fit
from tandem.errors import ConfigError, DataError

DECODER = 4
"""Version of the decoding of images and masks; increased with every change, so that caches are rebuilt."""


@dataclass(frozen=True)
class ReadOptions:
    """How files become pixels, where a file leaves it open; part of the name of a cache.

    Attributes:
        background: what transparent pixels are composited on, as 8-bit RGB.
    """

    background: tuple[int, int, int] = (0, 0, 0)


PLAIN = ReadOptions()
"""What is read without options."""


@dataclass(frozen=True)
class Reader:
    """Reads the files of some formats.

    Attributes:
        endings: suffixes of the file names, in lower case, with their dots; a file without a known suffix is read by
            the first of `READERS`.
        dtype: returns the dtype that the pixels will have (uint8, uint16 or float32) from the header of a file.
        read: returns the image; raises `DataError` in one line that names the file and the fix.
    """

    endings: tuple[str, ...]
    dtype: Callable[[Path], np.dtype[Any]]
    read: Callable[[Path, ReadOptions], Raster]


PILLOW = Reader(
    pillow_reader.PILLOW_ENDINGS,
    pillow_reader.dtype,
    lambda path, options: pillow_reader.read(path, options.background),
)

READERS: tuple[Reader, ...] = (PILLOW,)
"""The readers; this is the list of the formats that training, evaluation, prediction, audit and show_data read."""

ENDINGS = tuple(ending for reader in READERS for ending in reader.endings)
"""File name suffixes of all readers, in lower case."""


def reader_of(path: Path) -> Reader:
    """Returns the reader of a file, by its suffix."""
    name = path.name.lower()
    return next((reader for reader in READERS if name.endswith(reader.endings)), PILLOW)


def read_raster(path: Path, options: ReadOptions = PLAIN) -> Raster:
    """Reads an image file in its own precision: upright, without transparency, grey or RGB.

    EXIF orientation: every file, image or mask, is rotated by its own tag, as viewers show it.

    Args:
        path: the file.
        options: what the file leaves open.

    Raises:
        DataError: the file is absent, damaged, of no known format, or has pixels that are not finite.
    """
    raster = reader_of(path).read(path, options)
    if raster.pixels.dtype == np.float32 and not np.isfinite(raster.pixels).all():
        bad = int((~np.isfinite(raster.pixels)).sum())
        raise DataError(f"image {str(path)!r} has {bad} pixels that are nan or infinite: fix or remove it")
    return raster


def dtype_of(path: Path) -> np.dtype[Any]:
    """Returns the dtype of a file's pixels from its header; uint8 if it cannot be read, which `read_raster` reports."""
    try:
        return reader_of(path).dtype(path)
    except DataError:
        return np.dtype(np.uint8)


def read_image(path: Path, size: int, channels: int) -> NDArray[Any]:
    """Reads an image file and resizes it with `fit`: (channels, size, size).

    Raises:
        DataError: as in `read_raster`.
    """
    return fit(read_raster(path), size, channels)


def rgb(colour: str, key: str) -> tuple[int, int, int]:
    """Reads a colour such as `white` or `#ff0000`.

    Raises:
        ConfigError: it is no colour; `key` is the option that holds it.
    """
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(str(colour))[:3]
    except ValueError as error:
        raise ConfigError(f"{key} is {colour!r}, but must be a colour such as white or '#ff0000'") from error
    return red, green, blue


def by(size: tuple[int, int]) -> str:
    """Formats width and height for messages."""
    return f"{size[0]}x{size[1]}"
