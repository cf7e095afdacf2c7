"""Reads one image file: checks, decodes and resizes it."""

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tandem.errors import DataError
from tandem.utils.files import check_regular

if TYPE_CHECKING:
    from PIL.Image import Image

DECODER = 3
"""Version of the decoding of images and masks; increased with every change, so that caches are rebuilt."""

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""The file formats that are read; Pillow knows many more, some of which start other programs."""

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""File name suffixes of these formats, in lower case."""

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Pillow's modes of at most 8 bits per channel; conversion from deeper ones would clip silently."""

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I", "F")
"""Pillow's grey modes of 16 or more bits, which `shallow` converts to 8."""

SHOWN_VALUES = 5


def open_image(path: Path, modes: Sequence[str] = MODES, formats: tuple[str, ...] = FORMATS) -> "Image":
    """Opens an image and decodes it completely.

    Args:
        path: a file of one of the formats.
        modes: Pillow modes to accept; by default, those of at most 8 bits per channel.
        formats: Pillow formats to accept; by default, PNG, JPEG, BMP and TIFF.

    Returns:
        The image in its own size and mode, rotated upright by its EXIF orientation tag, as viewers show it.

    Raises:
        DataError: the file is absent, not an image, truncated, damaged, of another mode, has several pages, or exceeds
            Pillow's limit against decompression bombs (about 89 million pixels).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    check_regular(path)
    name = repr(str(path))
    kinds = ", ".join(formats[: len(FORMATS)]) + (", ..." if len(formats) > len(FORMATS) else "")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as checked:
                checked.verify()  # the checksums of a PNG; without them, a flipped bit changes small masks silently
            with Image.open(path, formats=formats) as image:
                pages = getattr(image, "n_frames", 1)
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"image {name} is too large ({_line(error)}): shrink it below Pillow's limit") from error
    except FileNotFoundError as error:
        raise DataError(f"image {name} does not exist: restore the file") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not an image ({kinds}): download the file again") from error
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"image {name} is truncated or damaged ({_line(error)}): download the file again") from error
    if pages > 1:
        raise DataError(f"image {name} has {pages} pages: save the page to use as a file of its own")
    if image.mode not in modes:
        raise DataError(f"image {name} is not 8-bit grey or RGB (Pillow's mode {image.mode}): save it as one")
    return image


def shallow(image: "Image", path: Path, grey_range: tuple[float, float] | None) -> "Image":
    """Converts an image to at most 8 bits per channel: maps deep grey levels linearly to [0, 255] and clips.

    Args:
        image: an image that `open_image` returned, with `DEEP_MODES` accepted.
        path: its file, for messages.
        grey_range: the levels that become 0 and 255; None for 0 and 65535. 8-bit images stay unchanged.

    Raises:
        DataError: a pixel is not a finite number, or levels lie outside 0 to 65535 and no range is given.
    """
    from PIL import Image

    if image.mode not in DEEP_MODES:
        return image
    levels = np.asarray(image, dtype=np.float32)
    name = repr(str(path))
    if not np.isfinite(levels).all():
        bad = int((~np.isfinite(levels)).sum())
        raise DataError(f"image {name} has {bad} pixels that are nan or infinite: fix or remove it")
    if grey_range is None and (image.mode == "F" or levels.min() < 0 or levels.max() > 65535):
        raise DataError(
            f"image {name} has levels from {levels.min():g} to {levels.max():g} (Pillow's mode {image.mode}): set "
            "the levels of black and white with data.grey_range=[low,high]"
        )
    low, high = grey_range or (0, 65535)
    scaled = np.clip((levels - np.float32(low)) * np.float32(255 / (high - low)), 0, 255)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def fit(image: "Image", size: int, channels: int) -> NDArray[np.uint8]:
    """Resizes a decoded image to a square, bilinear with antialiasing; the aspect ratio is not kept.

    Args:
        image: an image that `open_image` returned.
        size: side of the result in pixels.
        channels: 1 for grey (ITU-R 601 luma, which keeps the levels of grey RGB images), 3 for RGB.

    Returns:
        (channels, size, size) uint8.
    """
    from PIL import Image

    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # a palette with transparency cannot be converted to grey directly
    shrunk = image.convert("L" if channels == 1 else "RGB").resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(shrunk, dtype=np.uint8).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_image(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """Reads an image file and resizes it with `fit`: (channels, size, size) uint8.

    Raises:
        DataError: as in `open_image`.
    """
    return fit(open_image(path), size, channels)


def by(size: tuple[int, int]) -> str:
    """Formats width and height for messages."""
    return f"{size[0]}x{size[1]}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
