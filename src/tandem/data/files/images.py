"""One picture from its file: read, checked, brought to size."""

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
"""Version of what pictures and masks are made of from a file; raised with every change, so that caches are renewed."""

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""The file formats read; Pillow knows many more, some of which start other programs."""

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""How the names of files of these formats end, in lower case."""

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Pillow's modes of at most 8 bits per channel; conversion from deeper ones would clip without a word."""

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I", "F")
"""Pillow's grey modes of 16 or more bits, which `shallow` brings to 8."""

SHOWN_VALUES = 5


def open_picture(path: Path, modes: Sequence[str] = MODES, formats: tuple[str, ...] = FORMATS) -> "Image":
    """Opens a picture and decodes all of it.

    Args:
        path: a file of one of the formats.
        modes: Pillow's modes that are accepted; by default, those of at most 8 bits per channel.
        formats: Pillow's formats that are read; by default, PNG, JPEG, BMP and TIFF.

    Returns:
        The picture in its own size and mode, upright: turned as its orientation tag (EXIF) says, as viewers show it.

    Raises:
        DataError: a file that is absent, no picture, truncated, damaged, of another mode, of several pages, or larger
            than Pillow's limit against decompression bombs (about 89 million pixels).
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
            with Image.open(path, formats=formats) as picture:
                pages = getattr(picture, "n_frames", 1)
                picture.load()
                ImageOps.exif_transpose(picture, in_place=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"picture {name} is too large ({_line(error)}): shrink it below Pillow's limit") from error
    except FileNotFoundError as error:
        raise DataError(f"picture {name} does not exist: fetch the file again") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not a picture ({kinds}): fetch the file again") from error
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"picture {name} is truncated or damaged ({_line(error)}): fetch the file again") from error
    if pages > 1:
        raise DataError(f"picture {name} has {pages} pages: save the one that is meant in a file of its own")
    if picture.mode not in modes:
        raise DataError(f"picture {name} is not 8-bit grey or RGB (Pillow's mode {picture.mode}): save it as one")
    return picture


def shallow(picture: "Image", path: Path, grey_range: tuple[float, float] | None) -> "Image":
    """A picture of at most 8 bits per channel: deep grey levels are mapped from a range to 0 to 255, ends clipped.

    Args:
        picture: as `open_picture` gives it with `DEEP_MODES`.
        path: its file, for messages.
        grey_range: the levels that become 0 and 255; None for 0 and 65535. Nothing happens to 8-bit pictures.

    Raises:
        DataError: pixels that are not a number; levels outside 0 to 65535 without a range.
    """
    from PIL import Image

    if picture.mode not in DEEP_MODES:
        return picture
    levels = np.asarray(picture, dtype=np.float32)
    name = repr(str(path))
    if not np.isfinite(levels).all():
        bad = int((~np.isfinite(levels)).sum())
        raise DataError(f"picture {name} has {bad} pixels that are no finite numbers (nan): mend or remove it")
    if grey_range is None and (picture.mode == "F" or levels.min() < 0 or levels.max() > 65535):
        raise DataError(
            f"picture {name} has levels from {levels.min():g} to {levels.max():g} (Pillow's mode {picture.mode}): say "
            "which of them are black and white with data.grey_range=[low,high]"
        )
    low, high = grey_range or (0, 65535)
    scaled = np.clip((levels - np.float32(low)) * np.float32(255 / (high - low)), 0, 255)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def fit(picture: "Image", size: int, channels: int) -> NDArray[np.uint8]:
    """Brings a decoded picture to a square of `size` pixels, bilinear with antialiasing; the aspect ratio is not kept.

    Args:
        picture: as `open_picture` gives it.
        size: side of the result in pixels.
        channels: 1 for grey (ITU-R 601 luma, which leaves grey RGB as it is), 3 for RGB.

    Returns:
        (channels, size, size) uint8.
    """
    from PIL import Image

    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA")  # a palette with transparency cannot go to grey directly
    shrunk = picture.convert("L" if channels == 1 else "RGB").resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(shrunk, dtype=np.uint8).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_image(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """Reads a picture as `fit` makes it: (channels, size, size) uint8.

    Raises:
        DataError: as `open_picture`.
    """
    return fit(open_picture(path), size, channels)


def by(size: tuple[int, int]) -> str:
    """Width and height, as errors show them."""
    return f"{size[0]}x{size[1]}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
