"""One picture or mask from its file: read, checked, brought to size."""

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tandem.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

DECODER = 1
"""Version of what this module makes of a file; raised with every change of its results, so that caches are renewed."""

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
"""The file formats read; Pillow knows many more, some of which start other programs."""

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Pillow's modes of at most 8 bits per channel; conversion from deeper ones would clip without a word."""

SHOWN_FAULTS = 10
SHOWN_VALUES = 5


def open_picture(path: Path) -> "Image":
    """Opens a picture and decodes all of it.

    Args:
        path: a PNG, JPEG, BMP or TIFF file with at most 8 bits per channel.

    Returns:
        The picture in its own size and mode.

    Raises:
        DataError: a file that is absent, no picture, truncated, damaged, deeper than 8 bits, or larger than Pillow's
            limit against decompression bombs (about 89 million pixels).
    """
    from PIL import Image, UnidentifiedImageError

    name = repr(str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as checked:
                checked.verify()  # the checksums of a PNG; without them, a flipped bit changes small masks silently
            with Image.open(path, formats=FORMATS) as picture:
                picture.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"picture {name} is too large ({_line(error)}): shrink it below Pillow's limit") from error
    except FileNotFoundError as error:
        raise DataError(f"picture {name} does not exist: fetch the file again") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not a picture ({', '.join(FORMATS)}): fetch the file again") from error
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"picture {name} is truncated or damaged ({_line(error)}): fetch the file again") from error
    if picture.mode not in MODES:
        raise DataError(f"picture {name} is not 8-bit grey or RGB (Pillow's mode {picture.mode}): save it as one")
    return picture


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


def read_mask(paths: Sequence[Path], size: int, image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Reads the masks of one picture, unites them in their own size and brings them to a square by nearest neighbour.

    Args:
        paths: mask files, each with 0 for background and 1 or 255 for lesion; none gives an empty mask.
        size: side of the result in pixels.
        image_size: width and height of the picture that the masks belong to.

    Returns:
        (1, size, size) uint8 with 0 and 1.

    Raises:
        DataError: as `open_picture`; a mask of another size than its picture; values other than the above.
    """
    from PIL import Image

    united = np.zeros(image_size[::-1], dtype=np.uint8)
    for path in paths:
        picture = open_picture(path)
        if picture.size != image_size:
            raise DataError(
                f"mask {str(path)!r} is {_by(picture.size)}, but its picture {_by(image_size)} (width x height): "
                "mend the mask or the pairing of the two files"
            )
        united |= _lesion(picture, path)
    square = Image.fromarray(united).resize((size, size), Image.Resampling.NEAREST)
    return np.array(square, dtype=np.uint8)[None]


def refuse(faults: Sequence[str], total: int, what: str = "pictures") -> None:
    """Raises one error for all faults found; its first line stands on its own.

    Args:
        faults: one line each; none raises nothing.
        total: how many things were looked at.
        what: what these things are.

    Raises:
        DataError: the count, the first fault, and on further lines the next ones, ten in all.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise DataError(faults[0])
    lines = [f"{len(faults)} of {total} {what} cannot be used; the first: {faults[0]}", *faults[1:SHOWN_FAULTS]]
    if len(faults) > SHOWN_FAULTS:
        lines.append(f"... and {len(faults) - SHOWN_FAULTS} more")
    raise DataError("\n  ".join(lines))


def _lesion(picture: "Image", path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 with 0 and 1 from a mask in its own size; refuses colours, transparency and grey levels."""
    grey = _grey(picture, path)
    values = np.unique(grey).tolist()
    if set(values) - {0} not in (set(), {1}, {255}):
        shown = ", ".join(map(str, values[:SHOWN_VALUES])) + (", ..." if len(values) > SHOWN_VALUES else "")
        raise DataError(
            f"mask {str(path)!r} holds {len(values)} values ({shown}), but may hold only 0 and either 1 or 255: "
            "threshold it and save it as PNG (JPEG blurs the edges)"
        )
    return (grey > 0).astype(np.uint8)


def _grey(picture: "Image", path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 levels of a mask; colour channels that agree count as grey."""
    if picture.mode in ("1", "L"):
        return np.asarray(picture).astype(np.uint8)
    *colours, alpha = np.moveaxis(np.asarray(picture.convert("RGBA")), -1, 0)
    if any((colour != colours[0]).any() for colour in colours):
        raise DataError(f"mask {str(path)!r} is in colour: save it in black and white")
    if (alpha != 255).any():
        raise DataError(f"mask {str(path)!r} has transparent pixels: flatten it and save it in black and white")
    return np.asarray(colours[0], dtype=np.uint8)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
