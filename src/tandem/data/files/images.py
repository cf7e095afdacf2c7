"""Reads image files: one list of formats and one function for every command."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.files import dicom_reader, nifti_reader, pillow_reader
from tandem.data.files.raster import Header, Raster, fit
from tandem.errors import ConfigError, DataError

DECODER = 5
"""Version of the decoding of images and masks; increased with every change, so that caches are rebuilt."""


@dataclass(frozen=True)
class ReadOptions:
    """How files become pixels, where a file leaves it open; part of the name of a cache.

    Attributes:
        background: what transparent pixels are composited on, as 8-bit RGB.
        window: show the levels through the window that a DICOM or NIfTI file states.
        classes: the numbers are classes of a mask, which are neither inverted nor shown through a window.
    """

    background: tuple[int, int, int] = (0, 0, 0)
    window: bool = False
    classes: bool = False


PLAIN = ReadOptions()
"""What is read without options."""

OF_MASKS = ReadOptions(classes=True)
"""How masks are read."""


@dataclass(frozen=True)
class Reader:
    """Reads the files of some formats.

    Attributes:
        endings: suffixes of the file names, in lower case, with their dots; of the files without a known suffix, those
            with DICOM's mark are read by `DICOM` and all others by `PILLOW`.
        header: returns what the header of a file says, without decoding its pixels.
        dtype: returns the dtype that the pixels will have (uint8, uint16 or float32) from the header of a file.
        read: returns the image; raises `DataError` in one line that names the file and the fix.
    """

    endings: tuple[str, ...]
    header: Callable[[Path], Header]
    dtype: Callable[[Path, ReadOptions], np.dtype[Any]]
    read: Callable[[Path, ReadOptions], Raster]


PILLOW = Reader(
    pillow_reader.PILLOW_ENDINGS,
    pillow_reader.header,
    lambda path, _: pillow_reader.dtype(path),
    lambda path, options: pillow_reader.read(path, options.background),
)

DICOM = Reader(
    dicom_reader.DICOM_ENDINGS,
    dicom_reader.header,
    lambda path, options: dicom_reader.dtype(path, options.window and not options.classes),
    lambda path, options: dicom_reader.read(path, options.window and not options.classes, options.classes),
)

NIFTI = Reader(
    nifti_reader.NIFTI_ENDINGS,
    nifti_reader.header,
    lambda path, options: nifti_reader.dtype(path, options.window and not options.classes),
    lambda path, options: nifti_reader.read(path, options.window and not options.classes),
)

READERS: tuple[Reader, ...] = (PILLOW, DICOM, NIFTI)
"""The readers; this is the list of the formats that training, evaluation, prediction, audit and show_data read."""

ENDINGS = tuple(ending for reader in READERS for ending in reader.endings)
"""File name suffixes of all readers, in lower case."""


def reader_of(path: Path) -> Reader:
    """Returns the reader of a file, by its suffix; without a known one, by its first bytes."""
    name = path.name.lower()
    found = next((reader for reader in READERS if name.endswith(reader.endings)), None)
    return found or (DICOM if dicom_reader.has_mark(path) else PILLOW)


def is_marked(path: Path, ending: str) -> bool:
    """Whether a file whose ending says nothing is a DICOM image; names such as `1.2.840.31` seem to have an ending.

    Args:
        path: the file.
        ending: its ending, see `ending_of`.
    """
    return re.fullmatch(r"(\.\d+)?", ending) is not None and dicom_reader.has_mark(path)


def read_raster(path: Path, options: ReadOptions = PLAIN) -> Raster:
    """Reads an image file in its own precision: upright, without transparency, grey or RGB.

    Orientation: every file, image or mask, is turned by its own EXIF tag or by the affine of NIfTI, as viewers show it.

    Args:
        path: the file.
        options: what the file leaves open.

    Raises:
        ConfigError: the file is DICOM or NIfTI, and their extra is not installed.
        DataError: the file is absent, damaged, of no known format, or has pixels that are not finite.
    """
    raster = reader_of(path).read(path, options)
    if raster.pixels.dtype == np.float32 and not np.isfinite(raster.pixels).all():
        bad = int((~np.isfinite(raster.pixels)).sum())
        raise DataError(f"image {str(path)!r} has {bad} pixels that are nan or infinite: fix or remove it")
    return raster


def dtype_of(path: Path, options: ReadOptions = PLAIN) -> np.dtype[Any]:
    """Returns the dtype of a file's pixels from its header; uint8 if it cannot be read, which `read_raster` reports."""
    try:
        return reader_of(path).dtype(path, options)
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


def shown_through(window: str | None) -> bool:
    """Reads the option `data.window`: whether levels are shown through the window that their file states.

    Raises:
        ConfigError: it is neither null nor `file`.
    """
    if window not in (None, "file"):
        raise ConfigError(
            f"data.window is {window!r}, but must be null or file; for another window set data.grey_range=[low,high]"
        )
    return window == "file"


def by(size: tuple[int, int]) -> str:
    """Formats width and height for messages."""
    return f"{size[0]}x{size[1]}"
