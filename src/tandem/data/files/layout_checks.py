"""Refuses folders and masks that would be trained as classes and images."""

import logging
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from tandem.data.files.faults import refuse
from tandem.data.files.images import PILLOW, read_raster, reader_of
from tandem.data.files.known_layouts import SHARE, has_coco, offer
from tandem.data.files.template import Template, typed
from tandem.data.files.vocabulary import IMAGES, MASK_NAME, MASKS, NNUNET, SPLIT
from tandem.data.files.walk import Found
from tandem.errors import DataError
from tandem.utils.files import check_regular

log = logging.getLogger(__name__)

MOST_FOLDERS = 20
"""With more class folders, no pairs of them are compared."""

LOOKED_AT, LOOKED_AT_FORMATS, FEW_LEVELS = 3, ("PNG", "JPEG", "BMP", "TIFF"), 32
"""Number of files whose levels are counted, their formats, and the most levels of a mask."""

FEW = 0.05
"""Below this share of the images, files that look like masks are reported, not refused; and below this share of pixels
of middle levels, an image of two levels that was saved as JPEG looks like a mask."""


def check_layout(root: Path, files: Sequence[Found], template: Template, images: Sequence[Found], named: bool) -> None:
    """Refuses a layout whose folders or masks would be trained as classes or images.

    Args:
        root: the folder of the data set.
        files: all files below it.
        template: `data.images`.
        images: the files that it matches, without masks.
        named: whether `data.classes` names the classes.

    Raises:
        FaultyDataError: folders such as `imagesTr` and `labelsTr`, `images` and `masks` or `train` and `test` would be
            classes, or masks would be images.
    """
    at = {found.stem: found.path for found in images}
    stems = at.keys()
    names = {stem.rpartition("/")[2] for stem in stems}
    taken = sorted(
        stem for stem in stems if (match := MASK_NAME.fullmatch(stem.rpartition("/")[2])) and match["id"] in names
    )
    if taken and _like_masks([at[stem] for stem in taken]):
        line = f"{len(taken)} files that match data.images look like masks of others, such as {taken[0]!r}"
        if len(taken) < FEW * len(stems):
            log.warning("%s: set data.masks to match them", line)
        else:
            ready = offer(root, files) or "Set data.masks to match them"
            refuse([f"{line} below {str(root)!r}{_by_ending(images, taken, template)}. {ready}"], 1)
    if named or "class" not in template.fields:
        return
    found = (template.match(stem) for stem in stems)
    classes = sorted({fields["class"] for fields in found if fields is not None})
    beside = "" if _no_classes(classes) else _masks_among(classes, at)
    if beside or _no_classes(classes) or (all(map(IMAGES.fullmatch, classes)) and has_coco(root, files)):
        ready = (
            offer(root, files) or beside or "Set data.images and data.masks, or data.classes if these are the classes"
        )
        refuse([f"the folders {', '.join(classes)} below {str(root)!r} are not classes. {ready}"], 1)


def _by_ending(images: Sequence[Found], taken: Sequence[str], template: Template) -> str:
    """The option that leaves files out by their ending, if all of them have another one than the images."""
    of_taken = {found.ending for found in images if found.stem in set(taken)}
    others = {found.ending for found in images if found.stem not in set(taken)}
    return (
        f" (or leave them out: {template.with_ending(*others)})" if len(others) == 1 and not others & of_taken else ""
    )


def _masks_among(classes: Sequence[str], at: Mapping[str, Path]) -> str:
    """The options for two class folders of which one has masks of the same names as the images of the other.

    Args:
        classes: names of the class folders.
        at: the image files by their stems.

    Returns:
        The options; empty if there are no such folders, or too many to compare them all.
    """
    names: dict[str, dict[str, Path]] = {}
    for stem, path in at.items() if len(classes) <= MOST_FOLDERS else ():
        folder, _, name = stem.rpartition("/")
        names.setdefault(folder or ".", {})[name] = path
    for masks, images in permutations(names, 2):
        alike = len(names[masks].keys() & names[images].keys()) > SHARE * len(names[images])
        if alike and _like_masks([*names[masks].values()]) and not _like_masks([*names[images].values()]):
            options = typed("data.images", f"{images}/{{id}}"), typed("data.masks", f"{masks}/{{id}}")
            return f"{masks} looks like the masks of {images}: {' '.join(options)}"
    return ""


def _like_masks(paths: Sequence[Path]) -> bool:
    """Whether the first of some image files have few levels, as masks have, also when they were saved as JPEG."""
    from PIL import Image

    for path in sorted(paths)[:LOOKED_AT]:
        try:
            check_regular(path)
            if reader_of(path) is PILLOW:
                with Image.open(path, formats=LOOKED_AT_FORMATS) as image:
                    pixels = np.asarray(image)
            else:
                pixels = read_raster(path).pixels
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, DataError):
            continue  # who reads it reports it
        levels = np.unique(pixels.reshape(pixels.shape[0] * pixels.shape[1], -1), axis=0)
        middle = np.mean((pixels > 32) & (pixels < 223)) if pixels.dtype == np.uint8 else 1
        if len(levels) > FEW_LEVELS and middle > FEW:
            return False
    return True


def has_two_levels(path: Path) -> bool:
    """Whether an image has black and at most one more level, as a mask has."""
    try:
        levels = np.unique(read_raster(path).pixels)
    except DataError:  # who reads it reports it
        return False
    return len(levels) <= 2 and levels[0] == 0


def _no_classes(folders: Sequence[str]) -> bool:
    """Whether the names of folders are those of splits, of images and masks, or nnU-Net's.

    Example:
        >>> [_no_classes(names) for names in (["images", "masks"], ["train2017", "val2017"], ["benign", "test"])]
        [True, True, False]
    """
    if any(NNUNET.fullmatch(name) for name in folders):
        return True
    masks, splits = (sum(map(bool, map(kind.fullmatch, folders))) for kind in (MASKS, SPLIT))
    others = [name for name in folders if not any(kind.fullmatch(name) for kind in (MASKS, IMAGES, SPLIT))]
    return not others and (splits > 1 or 0 < masks < len(folders))
