"""Masks and overlays as files."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from tandem.predict.views import open_any
from tandem.utils.files import write_whole

ORIENTATION = 0x0112
"""EXIF's tag."""

STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""From upright to as it is stored, by the tag."""

COLOURS = ((70, 180, 90), (235, 170, 40), (80, 140, 230), (220, 60, 70), (170, 100, 210), (60, 190, 190))
"""Of channels or classes, in turn."""


def mask_file(task: str, stem: str, channel: str = "") -> str:
    """Where a mask lies below `out`.

    Example:
        >>> mask_file("segmentation", "benign (1)"), mask_file("segmentation", "a/b", "cyst")
        ('masks/segmentation/benign (1).png', 'masks/segmentation/cyst/a/b.png')
    """
    return f"masks/{task}/{quote(channel, safe=' ') + '/' if channel else ''}{stem}.png"


def overlay_file(task: str, stem: str) -> str:
    """Where an overlay lies below `out`."""
    return f"overlays/{task}/{stem}.png"


def write_mask(path: Path, mask: npt.NDArray[np.uint8], picture: Path) -> None:
    """Writes an 8-bit PNG in the picture's size, pixel for pixel as the picture is stored, with its orientation tag.

    So both agree for programs that heed the tag, and for those that do not.

    Args:
        path: the file.
        mask: (height, width), upright.
        picture: the file that it belongs to.
    """
    image, exif, tag = Image.fromarray(mask), Image.Exif(), orientation(picture)
    if tag in STORED:
        image = image.transpose(STORED[tag])
        exif[ORIENTATION] = tag
    write_whole(path, lambda file: image.save(file, format="png", exif=exif if tag in STORED else None))


def orientation(picture: Path) -> int:
    """A file's orientation tag, 1 for upright; pixels of a TIFF are brought upright by all that read it."""
    with Image.open(picture) as opened:
        tag = 1 if opened.format == "TIFF" else opened.getexif().get(ORIENTATION)
    return int(tag) if tag in STORED else 1


def write_overlay(path: Path, picture: Path, regions: Iterable[npt.NDArray[np.bool_]]) -> None:
    """Writes the picture, upright and in its own size, with tinted and outlined regions.

    Args:
        path: the file, a PNG.
        picture: the file that is drawn over.
        regions: (height, width) each.
    """
    opened = open_any(picture)
    base = opened.convert("RGBA") if opened.mode in ("P", "PA") else opened
    drawn = (stretched(base) if base.mode[0] in "IF" else base).convert("RGB")
    width = 2 * max(1, round(max(drawn.size) / 400)) + 1
    for region, colour in zip(regions, _colours(), strict=False):
        inside = Image.fromarray(region.astype(np.uint8) * np.uint8(255))
        padded = ImageOps.expand(inside, width, 0)  # a region that meets the border is outlined there too
        core = padded.filter(ImageFilter.MinFilter(width)).crop(
            (width, width, width + drawn.width, width + drawn.height)
        )
        tint = inside.point(lambda value: value // 4)
        drawn = Image.composite(Image.new("RGB", drawn.size, colour), drawn, tint)
        edge = Image.fromarray(region & (np.asarray(core) == 0))
        drawn.paste(colour, mask=edge)
    write_whole(path, lambda file: drawn.save(file, format="png"))


def _colours() -> Iterable[tuple[int, int, int]]:
    while True:
        yield from COLOURS


def stretched(picture: Image.Image) -> Image.Image:
    """Deep grey levels from the darkest to the brightest, for the eye alone."""
    levels = np.asarray(picture, dtype=np.float32)
    low, high = float(levels.min()), float(levels.max())
    return Image.fromarray(np.rint((levels - low) * (255 / (high - low or 1))).astype(np.uint8))
