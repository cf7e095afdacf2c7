"""Masks from their files: what a value or colour means, and the masks of one picture united."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.images import MODES, SHOWN_VALUES, by, open_picture
from tandem.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

BACKGROUND = "background"
IGNORE = "ignore"
DEEP = ("I;16", "I;16B", "I;16L", "I")

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class MaskValues:
    """What the values or colours of a mask file mean.

    Attributes:
        names: of the foreground, in the order of their indices from 1.
        meaning: the index that each grey level, palette index or colour stands for: 0 for background, 255 for ignored.
    """

    names: tuple[str, ...]
    meaning: Mapping[int | Colour, int]


def mask_values(given: Mapping[str, str] | None) -> MaskValues | None:
    """Reads the setting `data.mask_values`.

    Args:
        given: names by value (`1`, a grey level or palette index) or colour (`"#ff0000"`); the names `background` and
            `ignore` (counts nowhere) are reserved. 0, or black, is background unless it is listed. None: strictly two
            values, 0 and either 1 or 255.

    Raises:
        ConfigError: a value that is neither, both kinds side by side, or no name beside the reserved ones.

    Example:
        >>> mask_values({"1": "pet", "2": "background", "3": "ignore"}).meaning
        {0: 0, 1: 1, 2: 0, 3: 255}
    """
    if given is None:
        return None
    keys = {str(value): _key(str(value)) for value in given}
    if len({type(key) for key in keys.values()}) > 1:
        raise ConfigError("data.mask_values mixes numbers and colours; give either, as they stand in the mask files")
    names = tuple(dict.fromkeys(name for name in map(str, given.values()) if name not in (BACKGROUND, IGNORE)))
    if not names:
        raise ConfigError("data.mask_values names no foreground; give one value a name such as {1: lesion}")
    index = {BACKGROUND: 0, IGNORE: MISSING_PIXEL, **{name: place for place, name in enumerate(names, start=1)}}
    black: int | Colour = 0 if isinstance(next(iter(keys.values())), int) else (0, 0, 0)
    return MaskValues(names, {black: 0, **{keys[str(value)]: index[str(name)] for value, name in given.items()}})


def read_mask(
    paths: Sequence[Path], size: int, image_size: tuple[int, int], values: MaskValues | None = None
) -> NDArray[np.uint8]:
    """Reads the masks of one picture, unites them in their own size and brings them to a square by nearest neighbour.

    Args:
        paths: mask files; none gives an empty mask.
        size: side of the result in pixels.
        image_size: width and height of the picture that the masks belong to.
        values: what values mean; None for 0 (background) and 1 or 255 (lesion).

    Returns:
        (1, size, size) uint8 with 0 and 1, or as `values` say.

    Raises:
        DataError: as `unite`.
    """
    return square(unite(paths, image_size, values), size)


def unite(paths: Sequence[Path], image_size: tuple[int, int], values: MaskValues | None = None) -> NDArray[np.uint8]:
    """(H, W) uint8, the masks of one picture as one: foreground goes before ignored, and that before background.

    Raises:
        DataError: as `open_picture`; a mask of another size than its picture; values that mean nothing; two classes
            for one pixel.
    """
    united = np.zeros(image_size[::-1], dtype=np.uint8)
    for path in paths:
        picture = open_picture(path, (*MODES, *DEEP))
        if picture.size != image_size:
            raise DataError(
                f"mask {str(path)!r} is {by(picture.size)}, but its picture {by(image_size)} (width x height): "
                "mend the mask or the pairing of the two files"
            )
        mask = _lesion(picture, path) if values is None else _indexed(picture, path, values)
        known = (united > 0) & (united != MISSING_PIXEL) & (mask > 0) & (mask != MISSING_PIXEL)
        if (united[known] != mask[known]).any():
            raise DataError(f"mask {str(path)!r} gives pixels another class than a mask of the same picture: mend one")
        united = np.where((mask > 0) & ((mask != MISSING_PIXEL) | (united == 0)), mask, united)
    return united


def square(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(1, size, size) from (H, W), by nearest neighbour, so that no value is made up."""
    from PIL import Image

    return np.array(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST), dtype=np.uint8)[None]


def _key(text: str) -> int | Colour:
    if text.isdecimal():
        return int(text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    raise ConfigError(f"data.mask_values has {text!r}, but needs a number such as 1 or a colour such as '#ff0000'")


def _lesion(picture: "Image", path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 with 0 and 1 from a mask in its own size; refuses colours, transparency and grey levels."""
    grey = _grey(picture, path)
    values = np.unique(grey).tolist()
    if set(values) - {0} not in (set(), {1}, {255}):
        raise DataError(
            f"mask {str(path)!r} holds {len(values)} values ({_shown(values)}), but may hold only 0 and either 1 or "
            "255: say what they mean (data.mask_values), or threshold it and save it as PNG (JPEG blurs the edges)"
        )
    return (grey > 0).astype(np.uint8)


def _indexed(picture: "Image", path: Path, values: MaskValues) -> NDArray[np.uint8]:
    """(H, W) uint8 of what each pixel means."""
    if isinstance(next(iter(values.meaning)), int):
        levels = np.asarray(picture) if picture.mode in ("P", *DEEP) else _grey(picture, path)
        found, place = np.unique(levels, return_inverse=True)
        keys: list[int | Colour] = [*found.tolist()]
        if picture.mode == "1" and 255 not in values.meaning:
            keys = [min(int(key), 1) for key in found.tolist()]
    else:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(np.uint32)
        packed = (colours[:, 0] << 16) | (colours[:, 1] << 8) | colours[:, 2]
        found, place = np.unique(packed, return_inverse=True)
        keys = [(code >> 16, code >> 8 & 255, code & 255) for code in found.tolist()]
    if unknown := [key for key in keys if key not in values.meaning]:
        shown = _shown([key if isinstance(key, int) else "#{:02x}{:02x}{:02x}".format(*key) for key in unknown])
        raise DataError(
            f"mask {str(path)!r} holds {len(unknown)} values that mean nothing ({shown}): add them to data.mask_values "
            "or mend the mask (JPEG blurs the edges)"
        )
    table = np.array([values.meaning[key] for key in keys], dtype=np.uint8)
    return table[place].reshape(picture.size[::-1])


def _grey(picture: "Image", path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 levels of a mask; colour channels that agree count as grey."""
    if picture.mode == "1":
        return np.asarray(picture.convert("L"))
    if picture.mode == "L":
        return np.asarray(picture)
    if picture.mode in DEEP:
        raise DataError(f"mask {str(path)!r} is deeper than 8 bits: say what its values mean (data.mask_values)")
    *colours, alpha = np.moveaxis(np.asarray(picture.convert("RGBA")), -1, 0)
    if any((colour != colours[0]).any() for colour in colours):
        raise DataError(
            f"mask {str(path)!r} is in colour: say what its colours mean (data.mask_values), or save it in black and "
            "white"
        )
    if (alpha != 255).any():
        raise DataError(f"mask {str(path)!r} has transparent pixels: flatten it and save it in black and white")
    return np.asarray(colours[0], dtype=np.uint8)


def _shown(values: Sequence[int | str]) -> str:
    return ", ".join(map(str, values[:SHOWN_VALUES])) + (", ..." if len(values) > SHOWN_VALUES else "")
