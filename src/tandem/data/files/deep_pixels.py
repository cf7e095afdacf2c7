"""Pixels of more than 8 bits, in the cases in which Pillow alone would return fewer bits or other numbers."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SIZ = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 codestream, followed by its header."""

PHOTOMETRIC, PLANAR, SAMPLE_FORMAT, BITS = 262, 284, 339, 258  # TIFF tags


MORE_TIFF = {
    (b"MM", 0, (1,), 1, (16,), ()): ("I;16B", "I;16B"),
    (b"MM", 1, (1,), 1, (32,), ()): ("I", "I;32B"),
    (b"II", 1, (3,), 1, (64,), ()): ("F", "F;64F"),
    (b"MM", 1, (3,), 1, (64,), ()): ("F", "F;64BF"),
}
"""Kinds of TIFF that Pillow can decode but does not list: byte order, photometric interpretation, sample format, fill
order, bits, extra samples; and Pillow's mode and raw mode."""

NATIVE = {"I;16BS": "I;16NS", "I;32B": "I;32N", "I;32BS": "I;32NS", "F;32BF": "F;32NF", "F;64BF": "F;64NF"}
"""Raw modes of compressed TIFF files: libtiff returns numbers in the byte order of the machine, which Pillow overlooks
for these."""


def list_more_tiff() -> None:
    """Adds `MORE_TIFF` to the kinds of TIFF that Pillow opens."""
    from PIL import TiffImagePlugin

    for kind, modes in MORE_TIFF.items():
        TiffImagePlugin.OPEN_INFO.setdefault(kind, modes)


def set_byte_order(image: "Image") -> None:
    """Corrects the byte order in which Pillow would read an opened TIFF that has not been decoded."""
    tiles: Any = getattr(image, "tile", [])
    if any(tile.codec_name == "libtiff" for tile in tiles) and (raw := NATIVE.get(_raw_mode(image))):
        image.tile = [tile._replace(args=(raw, *tile.args[1:])) for tile in tiles]  # type: ignore[attr-defined]


def number_type(image: "Image") -> str | None:
    """Names the numbers of a grey file where Pillow's mode does not say what they are.

    Args:
        image: an opened image that has not been decoded.

    Returns:
        `uint16` (PNM), `uint32`, `int8`, `inverted` (TIFF whose white is 0), `shifted N` (JPEG 2000 of 16 - N bits), or
        None.
    """
    tags = getattr(image, "tag_v2", {})
    if image.format == "PPM" and image.mode == "I":
        return "uint16"
    if image.format == "JPEG2000" and image.mode == "I;16":
        return f"shifted {max(0, 16 - _precision(image))}"
    signed = tags.get(SAMPLE_FORMAT, (1,))[0] == 2
    if image.mode == "I" and tags and not signed:
        return "uint32"
    if image.mode == "L" and signed and tags.get(BITS, (8,))[0] == 8:
        return "int8"
    if image.mode.startswith("I;16") and tags.get(PHOTOMETRIC) == 0:
        return "inverted"
    return None


def grey(image: "Image", kind: str | None) -> NDArray[Any]:
    """Returns the levels of a decoded grey image: (H, W), or (H, W, 2) with alpha if a level is transparent.

    Args:
        image: an image of a mode with more than 8 bits, or one whose numbers have a name.
        kind: see `number_type`.
    """
    levels = np.asarray(image)
    if kind == "int8":
        return levels.view(np.int8).astype(np.float32)
    if kind == "uint32":
        return levels.view(np.uint32).astype(np.float32)
    if kind == "uint16" or image.mode.startswith("I;16"):
        levels = levels.astype(np.uint16)
    else:
        return levels.astype(np.float32)
    if kind == "inverted":
        levels = np.uint16(65535) - levels
    if kind is not None and kind.startswith("shifted"):
        levels = levels >> np.uint16(kind.split()[1])
    return _keyed(levels[..., None], image.info.get("transparency"))


def has_deep_colours(image: "Image") -> bool:
    """Whether an opened image that has not been decoded stores colours, or grey with alpha, of more than 8 bits."""
    if image.format == "PPM":
        return image.mode == "RGB" and _maxval(image) > 255
    if image.format == "JPEG2000":
        return image.mode not in ("L", "I;16", "P", "PA") and _precision(image) > 8
    if tags := getattr(image, "tag_v2", None):  # not the raw mode, which names single planes without their depth
        return image.mode[0] not in "IF" and max(tags.get(BITS, (1,))) > 8
    return not image.mode.startswith("I") and bool(re.search(r";16[BLN]", _raw_mode(image)))


def colours(image: "Image", path: Path, load: "Callable[[Image], None]") -> NDArray[np.uint16] | None:
    """Returns the colours of an image of 16 bits per channel, (H, W, 3) or (H, W, 2 or 4) with alpha; None for others.

    Pillow keeps the high byte of each value. The low byte is the high byte of the same file read in the other byte
    order, so the file is decoded twice.

    Args:
        image: an opened image that has not been decoded.
        path: its file.
        load: decodes an image and rotates it upright.

    Raises:
        DataError: the colours are stored in a way that Pillow cannot read.
    """
    if not has_deep_colours(image):
        return None
    if image.format == "PPM":
        return _pnm(image, path, load)
    if image.format == "JPEG2000":
        raise _unread(path, "JPEG 2000 in colour")
    raw = _raw_mode(image)
    if getattr(image, "tag_v2", {}).get(PLANAR, 1) == 2:
        raise _unread(path, "TIFF with separate planes")
    if raw == "LA;16B":  # four bytes for each pixel: grey and alpha, each with its high byte first
        read = _with_raw_mode(image, path, "RGBA", load).astype(np.uint16)
        load(image)
        return np.stack([read[..., 0] << 8 | read[..., 1], read[..., 2] << 8 | read[..., 3]], axis=-1)
    if not raw.startswith(("RGB;", "RGBA;", "RGBX;")):
        raise _unread(path, f"{image.format} of Pillow's raw mode {raw}")
    order = {"N": "L" if sys.byteorder == "little" else "B"}.get(raw[-1], raw[-1])
    low = _with_raw_mode(image, path, f"{raw[:-1]}{'B' if order == 'L' else 'L'}", load).astype(np.uint16)
    load(image)
    return _keyed(np.asarray(image).astype(np.uint16) << 8 | low, image.info.get("transparency"))


def _keyed(levels: NDArray[Any], key: Any) -> NDArray[Any]:
    """Adds an alpha channel if a level or colour is declared transparent; drops the axis of a single channel."""
    if key is None or levels.shape[2] in (2, 4):
        return levels[..., 0] if levels.shape[2] == 1 else levels
    alpha = np.where((levels == np.array(key, levels.dtype)).all(-1, keepdims=True), 0, np.iinfo(levels.dtype).max)
    return np.concatenate([levels, alpha.astype(levels.dtype)], axis=-1)


def _raw_mode(image: "Image") -> str:
    """Returns Pillow's name of how pixels are stored in the file; empty if there is none."""
    args: Any = image.tile[0].args if getattr(image, "tile", None) else ""  # type: ignore[attr-defined]
    return str(args if isinstance(args, str) else args[0] if args else "")


def _with_raw_mode(image: "Image", path: Path, raw: str, load: "Callable[[Image], None]") -> NDArray[np.uint8]:
    """Decodes the file again, as if its pixels were stored in another way."""
    from PIL import Image

    with Image.open(path, formats=[str(image.format)]) as other:
        tiles: Any = other.tile
        args = [raw if isinstance(tile.args, str) else (raw, *tile.args[1:]) for tile in tiles]
        other.tile = [tile._replace(args=new) for tile, new in zip(tiles, args, strict=True)]
        load(other)
    return np.asarray(other)


def _maxval(image: "Image") -> int:
    """Returns the largest level that a PNM declares, if it is not 255."""
    (tile,) = image.tile  # type: ignore[attr-defined]
    return int(tile.args[1]) if tile.codec_name in ("ppm", "ppm_plain") else 255


def _pnm(image: "Image", path: Path, load: "Callable[[Image], None]") -> NDArray[np.uint16]:
    """Reads a PNM in colour with more than 8 bits."""
    (tile,) = image.tile  # type: ignore[attr-defined]
    width, height = image.size
    content = path.read_bytes()[tile.offset :]
    plain = re.sub(rb"#[^\r\n]*", b"", content).split() if tile.codec_name == "ppm_plain" else None
    values = np.frombuffer(content, ">u2", 3 * width * height) if plain is None else np.array(plain, np.uint16)
    load(image)
    return values[: 3 * width * height].reshape(height, width, 3).astype(np.uint16)


def _precision(image: "Image") -> int:
    """Returns the largest number of bits of a channel of a JPEG 2000 file."""
    file: Any = image.fp  # type: ignore[attr-defined]
    place = file.tell()
    file.seek(0)
    content: bytes = file.read(2**20)
    file.seek(place)
    start = content.find(SIZ)
    count = int.from_bytes(content[start + 40 : start + 42], "big")
    return max((content[start + 42 + 3 * channel] & 127) + 1 for channel in range(count)) if start >= 0 else 8


def _unread(path: Path, what: str) -> DataError:
    return DataError(
        f"image {str(path)!r} has colours of more than 8 bits in a form that cannot be read in full ({what}): save it "
        "as PNG, or as TIFF with interleaved channels"
    )
