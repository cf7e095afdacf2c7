"""Recognises masks among the files of a folder, so that they are not taken for images."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from tandem.data.files.layout import Layout, Template

BESIDE = re.compile(
    r"(?P<id>.+?)[ _-](mask|segmentation|segmented|seg|lesion|gt|ground_?truth|annotation)s?([ _-]?\d+)?",
    re.IGNORECASE,
)
"""Names of masks that lie beside their image, `x.png`: `x_mask.png`, `x_mask_1.png`, `x_Segmentation.png`, ..."""

MASK_FOLDER = re.compile(r"(masks?|labels?(tr|ts)?|annotations?|segmentations?|gt|ground_?truth)", re.IGNORECASE)
"""Names of folders of masks, beside a folder of images in which the same names occur."""

IMAGE_FOLDER = re.compile(r"(images?(tr|ts)?|imgs?)", re.IGNORECASE)

CHANNEL = re.compile(r"_\d{4}$")
"""What nnU-Net appends to the name of an image, and not to that of its mask."""


def masks_by_layout(layout: Layout, files: Sequence[Path]) -> set[Path]:
    """The files that are masks of other files by the templates of a data set, wherever its root lies.

    Args:
        layout: the templates.
        files: absolute paths.
    """
    images: dict[tuple[object, ...], Path] = {}
    found: dict[Path, tuple[object, ...]] = {}
    for file in files:
        mask = next(((name, hit) for name, form in layout.masks.items() if (hit := _match(form, file))), None)
        if mask is not None:
            shared = [field for field in layout.masks[mask[0]].fields if field in layout.images.fields]
            found[file] = (mask[1][0], *((field, mask[1][1][field]) for field in shared))
        elif (hit := _match(layout.images, file)) is not None:
            for form in layout.masks.values():
                shared = [field for field in form.fields if field in layout.images.fields]
                images[(hit[0], *((field, hit[1][field]) for field in shared))] = file
    return {file for file, key in found.items() if key in images}


def _match(form: Template, file: Path) -> tuple[Path, Mapping[str, str]] | None:
    """The folder above the end of a path that a template matches, and the fields."""
    parts = file.with_suffix("").parts
    if len(parts) <= form.depth:
        return None
    fields = form.match("/".join(parts[-form.depth :]))
    return None if fields is None else (Path(*parts[: -form.depth]), fields)


def masks_by_name(files: Sequence[Path]) -> set[Path]:
    """The files that are masks of other files by the usual names, such as `x_mask.png` beside `x.png`.

    Args:
        files: paths.

    Example:
        >>> names = ("a/x.png", "a/x_mask.png", "a/lone_mask.png", "images/y.jpg", "masks/y.png")
        >>> sorted(map(str, masks_by_name([Path(name) for name in names])))
        ['a/x_mask.png', 'masks/y.png']
    """
    stems = {file.with_suffix("") for file in files}
    without_channel = {stem.with_name(CHANNEL.sub("", stem.name)) for stem in stems}
    image_folders = {part for file in files for part in file.parts if IMAGE_FOLDER.fullmatch(part)}
    found = set()
    for file in files:
        stem = file.with_suffix("")
        beside = BESIDE.fullmatch(stem.name)
        owners = [stem.with_name(beside["id"])] if beside else []
        parallel = _parallel(stem, image_folders)
        if any(owner in stems for owner in owners) or any(owner in without_channel for owner in parallel):
            found.add(file)
    return found


def _parallel(stem: PurePath, image_folders: set[str]) -> Iterator[Path]:
    """Where the image of a mask would be: the same path in a folder of images instead of one of masks."""
    for place, part in enumerate(stem.parts[:-1]):
        if MASK_FOLDER.fullmatch(part):
            for folder in image_folders:
                moved = Path(*stem.parts[:place], folder, *stem.parts[place + 1 :])
                yield moved
                if beside := BESIDE.fullmatch(moved.name):
                    yield moved.with_name(beside["id"])
