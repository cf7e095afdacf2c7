"""Reads mask files: maps their values or colours to classes, and merges the masks of one image."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.images import OF_MASKS, PILLOW, by, read_raster, reader_of
from tandem.data.files.pillow_reader import open_image
from tandem.data.files.placement import Placement
from tandem.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

BACKGROUND = "background"
IGNORE = "ignore"
DEEP = ("I;16", "I;16B", "I;16L", "I")
SHOWN_VALUES = 5

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class MaskValues:
    """The meaning of the values or colours of a mask file.

    Attributes:
        names: names of the foreground classes, in the order of their indices from 1.
        meaning: the class index of each grey level, palette index or colour: 0 is background, 255 is ignored.
    """

    names: tuple[str, ...]
    meaning: Mapping[int | Colour, int]


def mask_values(given: Mapping[str, str] | None) -> MaskValues | None:
    """Reads the option `data.mask_values`.

    Args:
        given: class names by value (`1`, a grey level or palette index) or by colour (`"#ff0000"`). The names
            `background` and `ignore` (excluded from losses and metrics) are reserved. 0, or black, is background unless
            it is listed. None: masks must have two values, 0 and either 1 or 255.

    Raises:
        ConfigError: a key is neither a number nor a colour, numbers and colours are mixed, or no foreground is named.

    Example:
        >>> mask_values({"1": "pet", "2": "background", "3": "ignore"}).meaning
        {0: 0, 1: 1, 2: 0, 3: 255}
    """
    if given is None:
        return None
    keys = {str(value): _key(str(value)) for value in given}
    if len({type(key) for key in keys.values()}) > 1:
        raise ConfigError("data.mask_values mixes numbers and colours; use one of them, as in the mask files")
    names = tuple(dict.fromkeys(name for name in map(str, given.values()) if name not in (BACKGROUND, IGNORE)))
    if not names:
        raise ConfigError("data.mask_values names no foreground; give one value a name such as {1: lesion}")
    index = {BACKGROUND: 0, IGNORE: MISSING_PIXEL, **{name: place for place, name in enumerate(names, start=1)}}
    black: int | Colour = 0 if isinstance(next(iter(keys.values())), int) else (0, 0, 0)
    return MaskValues(names, {black: 0, **{keys[str(value)]: index[str(name)] for value, name in given.items()}})


def read_mask(
    paths: Sequence[Path], size: int, image_size: tuple[int, int], values: MaskValues | None = None
) -> NDArray[np.uint8]:
    """Reads the masks of one image, merges them at their own size and resizes the result by nearest neighbour.

    Args:
        paths: mask files; without any, the mask is empty.
        size: side of the result in pixels.
        image_size: width and height of the image that the masks belong to.
        values: meaning of the values; None for 0 (background) and 1 or 255 (lesion).

    Returns:
        (1, size, size) uint8 with 0 and 1, or with the class indices of `values`.

    Raises:
        DataError: as in `unite`.
    """
    whole = unite(paths, image_size, values)[0]
    return Placement("squash", whole.shape[0], whole.shape[1], size).mask(whole)[None]


def unite(
    paths: Sequence[Path], image_size: tuple[int, int], values: MaskValues | None = None, orientation: int = 1
) -> tuple[NDArray[np.uint8], set[int]]:
    """Merges the masks of one image: foreground overrides ignored, and ignored overrides background.

    Args:
        paths: mask files.
        image_size: width and height of the upright image.
        values: meaning of the values.
        orientation: EXIF orientation tag of the image, for messages.

    Returns:
        (H, W) uint8, and the orientation tags of the masks.

    Raises:
        DataError: as in `open_image`; or a mask has another size than its image, values without a meaning, or masks
            give a pixel two classes.
    """
    united = np.zeros(image_size[::-1], dtype=np.uint8)
    tags: set[int] = set()
    for path in paths:
        image = _opened(path)
        tag = int(image.info.get("orientation", 1))
        tags.add(tag)
        if image.size != image_size:
            hint = "" if tag == orientation else f" (its orientation tag is {tag}, the image's is {orientation})"
            raise DataError(
                f"mask {str(path)!r} is {by(image.size)}, but its image is {by(image_size)} (width x height){hint}: "
                "fix the mask or the pairing of the two files"
            )
        mask = _lesion(image, path) if values is None else _indexed(image, path, values)
        known = (united > 0) & (united != MISSING_PIXEL) & (mask > 0) & (mask != MISSING_PIXEL)
        if (united[known] != mask[known]).any():
            raise DataError(
                f"mask {str(path)!r} gives pixels another class than another mask of the same image: fix one"
            )
        united = np.where((mask > 0) & ((mask != MISSING_PIXEL) | (united == 0)), mask, united)
    return united, tags


def _opened(path: Path) -> "Image":
    """Opens a mask upright; whole numbers of more than 8 bits become Pillow's mode I."""
    from PIL import Image

    if reader_of(path) is PILLOW:
        image = open_image(path)
    else:
        raster = read_raster(path, OF_MASKS)
        image = Image.fromarray(raster.pixels)
        image.info["orientation"] = raster.orientation
    if image.mode != "F" and not image.info.get("deep_colours"):
        return image
    levels = np.asarray(image) if image.mode == "F" else _grey_of_deep(path)
    if not (np.abs(levels) < 2**24).all() or (levels % 1 != 0).any():
        raise DataError(f"mask {str(path)!r} has values that are not whole numbers: save its classes as whole numbers")
    whole = Image.fromarray(levels.astype(np.int32))
    whole.info.update(image.info)
    return whole


def _grey_of_deep(path: Path) -> NDArray[Any]:
    """Returns the levels of a grey mask that is stored in colours of 16 bits, of which Pillow keeps the high byte."""
    pixels = read_raster(path).pixels
    if pixels.ndim == 3 and (pixels != pixels[..., :1]).any():
        raise DataError(f"mask {str(path)!r} has colours of 16 bits: save it in colours of 8 bits")
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def _key(text: str) -> int | Colour:
    if text.isdecimal():
        return int(text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    raise ConfigError(f"data.mask_values has {text!r}, but needs a number such as 1 or a colour such as '#ff0000'")


def _lesion(image: "Image", path: Path) -> NDArray[np.uint8]:
    """Returns a binary mask, (H, W) uint8 with 0 and 1; raises for colours, transparency and grey levels."""
    grey = _grey(image, path)
    values = np.unique(grey).tolist()
    if set(values) - {0} not in (set(), {1}, {255}, {65535}):
        raise DataError(
            f"mask {str(path)!r} has {len(values)} values ({_shown(values)}), but may have only 0 and either 1, 255 "
            "or 65535: set their meaning (data.mask_values), or threshold it and save it as PNG (JPEG blurs the edges)"
        )
    return (grey > 0).astype(np.uint8)


def _indexed(image: "Image", path: Path, values: MaskValues) -> NDArray[np.uint8]:
    """Returns the class index of each pixel, (H, W) uint8."""
    if isinstance(next(iter(values.meaning)), int):
        levels = np.asarray(image) if image.mode == "P" else _grey(image, path)
        if image.mode == "P" and not set(np.unique(levels).tolist()) <= set(values.meaning) and _is_grey(image):
            levels = _grey(image, path)
        found, place = np.unique(levels, return_inverse=True)
        keys: list[int | Colour] = [*found.tolist()]
        if image.mode == "1" and 255 not in values.meaning:
            keys = [min(int(key), 1) for key in found.tolist()]
    else:
        if image.has_transparency_data and (np.asarray(image.convert("RGBA"))[..., 3] != 255).any():
            raise DataError(f"mask {str(path)!r} has transparent pixels, whose colours are hidden: flatten it")
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(np.uint32)
        packed = (colours[:, 0] << 16) | (colours[:, 1] << 8) | colours[:, 2]
        found, place = np.unique(packed, return_inverse=True)
        keys = [(code >> 16, code >> 8 & 255, code & 255) for code in found.tolist()]
    if unknown := [key for key in keys if key not in values.meaning]:
        shown = _shown([key if isinstance(key, int) else "#{:02x}{:02x}{:02x}".format(*key) for key in unknown])
        raise DataError(
            f"mask {str(path)!r} has {len(unknown)} values without a meaning ({shown}): add them to data.mask_values "
            "or fix the mask (JPEG blurs the edges)"
        )
    table = np.array([values.meaning[key] for key in keys], dtype=np.uint8)
    return table[place].reshape(image.size[::-1])


def _is_grey(image: "Image") -> bool:
    """Whether all colours that a palette image uses are grey."""
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    return bool((red == green).all() and (green == blue).all())


def _grey(image: "Image", path: Path) -> NDArray[Any]:
    """Returns the grey levels of a mask, (H, W); equal colour channels count as grey."""
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode == "L":
        return np.asarray(image)
    if image.mode in DEEP:
        return np.asarray(image)
    *colours, alpha = np.moveaxis(np.asarray(image.convert("RGBA")), -1, 0)
    if any((colour != colours[0]).any() for colour in colours):
        raise DataError(
            f"mask {str(path)!r} is in colour: set the meaning of its colours (data.mask_values), or save it in black "
            "and white"
        )
    if (alpha != 255).any():
        raise DataError(f"mask {str(path)!r} has transparent pixels: flatten it and save it in black and white")
    return np.asarray(colours[0], dtype=np.uint8)


def _shown(values: Sequence[int | str]) -> str:
    return ", ".join(map(str, values[:SHOWN_VALUES])) + (", ..." if len(values) > SHOWN_VALUES else "")
