"""Reads the image formats that Pillow decodes, in the precision of their files."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.files import deep_pixels
from tandem.data.files.raster import Header, Raster
from tandem.errors import DataError
from tandem.utils.files import check_regular

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
"""Pillow's names of the formats that every command reads (its JPEG covers MPO). Pillow knows many more, some of which
start programs."""

SHOWN_FORMATS = "PNG, JPEG, BMP, TIFF, WebP, GIF, PNM, JPEG 2000"

PILLOW_ENDINGS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
)
"""File name suffixes of these formats, in lower case."""

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
"""Pillow's modes of at most 8 bits per channel that convert to grey or RGB."""

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I", "F")
"""Pillow's grey modes of more than 8 bits."""

ORIENTATION = 274
"""The EXIF and TIFF tag of the orientation."""

Colour = tuple[int, int, int]


def open_image(path: Path, modes: Sequence[str] = (*MODES, *DEEP_MODES)) -> "Image":
    """Opens an image with Pillow and decodes it completely.

    Args:
        path: a file of one of `FORMATS`.
        modes: Pillow's modes to accept.

    Returns:
        The image in its own size and mode, rotated upright by its EXIF orientation tag, as viewers show it; the tag is
        kept as `info["orientation"]`. If `info["deep_colours"]` is true, its colours are the high bytes of the file's.

    Raises:
        DataError: the file is absent, not an image, truncated, damaged, of another mode, has several pages, or exceeds
            Pillow's limit against decompression bombs (about 89 million pixels).
    """
    with _opened(path) as image:
        deep = deep_pixels.has_deep_colours(image)
        _load(image)
        image.info["deep_colours"] = deep
    if image.mode not in modes:
        raise DataError(
            f"image {str(path)!r} is neither grey nor RGB (Pillow's mode {image.mode}): convert it to one of them"
        )
    return image


def header(path: Path) -> Header:
    """Returns what the header of a file says.

    Raises:
        DataError: the file cannot be opened; `read` says why.
    """
    from PIL import Image

    check_regular(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            return Header(*image.size, image.mode, str(image.format))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"image {str(path)!r} cannot be opened") from error


def dtype(path: Path) -> np.dtype[Any]:
    """Returns the dtype of the pixels that `read` will return, from the header of a file.

    Raises:
        DataError: as in `read`.
    """
    with _opened(path, verify=False) as image:
        if deep_pixels.has_deep_colours(image):
            return np.dtype(np.uint16)
        kind = deep_pixels.number_type(image)
        if kind in ("int8", "uint32") or (image.mode in ("I", "F") and kind is None):
            return np.dtype(np.float32)
        return np.dtype(np.uint16 if kind or image.mode in DEEP_MODES else np.uint8)


def read(path: Path, background: Colour = (0, 0, 0)) -> Raster:
    """Reads an image in the precision of its file.

    Args:
        path: a file of one of `FORMATS`.
        background: what transparent pixels are composited on, as 8-bit RGB.

    Raises:
        DataError: as in `open_image`, or colours of more than 8 bits are stored in a way that Pillow cannot read.
    """
    with _opened(path) as image:
        colours = deep_pixels.colours(image, path, _load)
        if colours is not None:
            return composited(colours, background, int(image.info["orientation"]))
        kind = deep_pixels.number_type(image)
        _load(image)
    return from_pillow(image, background, str(path), kind)


def from_pillow(image: "Image", background: Colour = (0, 0, 0), name: str = "", kind: str | None = None) -> Raster:
    """Returns the pixels of an upright Pillow image.

    Args:
        image: a decoded image.
        background: what transparent pixels are composited on, as 8-bit RGB.
        name: for messages.
        kind: what the numbers of the file are, see `deep_pixels.number_type`.

    Raises:
        DataError: the image's mode cannot be converted to grey or RGB.
    """
    turned = int(image.info.get("orientation", 1))
    if image.mode not in (*MODES, *DEEP_MODES):
        raise DataError(
            f"image {name!r} is neither grey nor RGB (Pillow's mode {image.mode}): convert it to one of them"
        )
    if image.mode in DEEP_MODES or kind is not None:
        return composited(deep_pixels.grey(image, kind), background, turned)
    if image.has_transparency_data:
        whole = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
        return composited(np.asarray(whole), background, turned)
    return Raster(np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")), orientation=turned)


def composited(levels: NDArray[Any], background: Colour, orientation: int = 1) -> Raster:
    """Returns an image without transparency.

    Args:
        levels: (H, W), (H, W, 3), or with an alpha channel (H, W, 2) or (H, W, 4); uint8, uint16 or float32.
        background: what transparent pixels are composited on, as 8-bit RGB.
        orientation: tag that was applied.
    """
    if levels.ndim == 2 or levels.shape[2] == 3:
        return Raster(levels, orientation=orientation)
    colours, alpha = levels[..., :-1], levels[..., -1:]
    most = int(np.iinfo(levels.dtype).max)
    transparent = bool((alpha != most).any())
    if transparent:
        below = np.array(background, np.uint64) * (most // 255)
        if colours.shape[2] == 1 and len(set(background)) == 1:
            below = below[:1]
        opaque = alpha.astype(np.uint64)
        whole = (colours.astype(np.uint64) * opaque + below * (most - opaque) + most // 2) // most
        colours = whole.astype(levels.dtype)
    return Raster(colours[..., 0] if colours.shape[2] == 1 else colours, None, orientation, transparent)


def _load(image: "Image") -> None:
    """Decodes an opened image and rotates it upright; keeps the tag."""
    from PIL import ImageOps

    deep_pixels.set_byte_order(image)
    found = image.getexif().get(ORIENTATION, 1)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    image.info["orientation"] = found if found in range(1, 9) else 1


@contextmanager
def _opened(path: Path, verify: bool = True) -> "Iterator[Image]":
    """Opens an image file whose checksums hold; turns whatever its decoder raises into one line."""
    from PIL import Image, UnidentifiedImageError

    check_regular(path)
    deep_pixels.list_more_tiff()
    name = repr(str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if verify:  # the checksums of a PNG; without them, a flipped bit changes small masks silently
                with Image.open(path, formats=FORMATS) as checked:
                    checked.verify()
            with Image.open(path, formats=FORMATS) as image:
                pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: the first is the image
                if pages > 1:
                    raise DataError(f"image {name} has {pages} pages: save the page to use as a file of its own")
                yield image
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"image {name} is too large ({_line(error)}): shrink it below Pillow's limit") from error
    except FileNotFoundError as error:
        raise DataError(f"image {name} does not exist: restore the file") from error
    except UnidentifiedImageError as error:
        if _start(path) in (b"II*\0", b"MM\0*"):
            raise DataError(
                f"image {name} is a TIFF whose pixels are stored in a way that is not read: save it as grey (8 or 16 "
                "bits, or 32-bit numbers) or RGB (8 or 16 bits)"
            ) from error
        raise DataError(f"{name} is not an image ({SHOWN_FORMATS}): download the file again") from error
    except Exception as error:  # Pillow's decoders may raise anything for a damaged file
        raise DataError(f"image {name} is truncated or damaged ({_line(error)}): download the file again") from error


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
