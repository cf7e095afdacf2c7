"""Masks and overlays as files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from tandem.data.files import nifti_writer
from tandem.data.files.images import NIFTI, PILLOW, read_raster, reader_of
from tandem.data.files.raster import byte_view
from tandem.reports.palette import rgb
from tandem.utils.files import write_whole

if TYPE_CHECKING:
    from tandem.tasks.kinds import Question

ORIENTATION = 0x0112
"""The EXIF tag of the orientation."""

STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""The transform from the upright to the stored image, by orientation."""


def mask_file(task: str, stem: str, channel: str = "", ending: str = ".png") -> str:
    """Returns the path of a mask below `out`.

    Example:
        >>> mask_file("segmentation", "benign (1)"), mask_file("segmentation", "a/b", "cyst")
        ('masks/segmentation/benign (1).png', 'masks/segmentation/cyst/a/b.png')
    """
    return f"masks/{task}/{quote(channel, safe=' ') + '/' if channel else ''}{stem}{ending}"


def overlay_file(task: str, stem: str) -> str:
    """Returns the path of an overlay below `out`."""
    return f"overlays/{task}/{stem}.png"


def masks_of(questions: "Sequence[Question]", stem: str, ending: str = ".png") -> list[tuple[str, str, str, str]]:
    """Returns task, channel, table column and file below `out` for each mask of an image.

    Args:
        questions: the questions that are answered.
        stem: stem of the image's files.
        ending: of its masks, see `Found.mask_ending`.
    """
    return [
        (
            q.name,
            channel,
            f"{q.name}.{channel}.file" if channel else f"{q.name}.file",
            mask_file(q.name, stem, channel, ending),
        )
        for q in questions
        for channel in q.masks
    ]


def write_mask(path: Path, mask: npt.NDArray[np.uint8], image_file: Path) -> None:
    """Writes a mask that matches the stored pixels of the image: NIfTI with its axes and affine, else an 8-bit PNG.

    A PNG has the orientation tag of the image, so that it fits both in programs that apply the tag and in those that
    ignore it. That of a DICOM file has the rows and columns of its frame.

    Args:
        path: the file.
        mask: (height, width), upright.
        image_file: the file of the image.
    """
    if reader_of(image_file) is NIFTI:
        content = nifti_writer.mask_bytes(mask, image_file)
        write_whole(path, lambda file: file.write(content))
        return
    image, exif, tag = Image.fromarray(mask), Image.Exif(), orientation(image_file)
    if tag in STORED:
        image = image.transpose(STORED[tag])
        exif[ORIENTATION] = tag
    write_whole(path, lambda file: image.save(file, format="png", exif=exif if tag in STORED else None))


def orientation(image_file: Path) -> int:
    """Returns a file's orientation tag, 1 for upright; also 1 where readers turn the image themselves: TIFF, NIfTI."""
    if reader_of(image_file) is not PILLOW:
        return 1
    with Image.open(image_file) as opened:
        tag = 1 if opened.format == "TIFF" else opened.getexif().get(ORIENTATION)
    return int(tag) if tag in STORED else 1


def write_overlay(path: Path, image_file: Path, regions: Iterable[npt.NDArray[np.bool_]]) -> None:
    """Writes the image, upright and in its own size, with tinted and outlined regions.

    Args:
        path: the file, a PNG.
        image_file: the file of the image.
        regions: masks (height, width).
    """
    drawn = Image.fromarray(byte_view(read_raster(image_file).pixels)).convert("RGB")
    width = 2 * max(1, round(max(drawn.size) / 400)) + 1
    for index, region in enumerate(regions):
        colour = rgb(index)
        inside = Image.fromarray(region.astype(np.uint8) * np.uint8(255))
        padded = ImageOps.expand(inside, width, 0)  # outlines a region at the image border too
        core = padded.filter(ImageFilter.MinFilter(width)).crop(
            (width, width, width + drawn.width, width + drawn.height)
        )
        tint = inside.point(lambda value: value // 4)
        drawn = Image.composite(Image.new("RGB", drawn.size, colour), drawn, tint)
        edge = Image.fromarray(region & (np.asarray(core) == 0))
        drawn.paste(colour, mask=edge)
    write_whole(path, lambda file: drawn.save(file, format="png"))
