"""Recognises masks among the files of a folder, so that they are not taken for images."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tandem.data.files.layout import Layout
from tandem.data.files.names import ending_of
from tandem.data.files.template import Template
from tandem.data.files.vocabulary import CHANNEL, IMAGES_IN, MASK_NAME, MASKS_IN


def masks_by_layout(layout: Layout, files: Sequence[Path]) -> set[Path]:
    """The files that are masks by the templates of a data set, wherever its root lies.

    Where one of them is the mask of another file, those whose image is gone are masks as well.

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
    roots = {key[0] for key in found.values() if key in images}
    return {file for file, key in found.items() if key[0] in roots}


def _match(form: Template, file: Path) -> tuple[Path, Mapping[str, str]] | None:
    """The folder above the end of a path that a template matches, and the fields."""
    parts = file.with_name(_stem(file)).parts
    if len(parts) <= form.depth:
        return None
    fields = form.match("/".join(parts[-form.depth :]), ending_of(file.name))
    return None if fields is None else (Path(*parts[: -form.depth]), fields)


def masks_by_name(files: Sequence[Path]) -> set[Path]:
    """The files that are masks of other files by the usual names, such as `x_mask.png` of `x.png`.

    A file is a mask if its name is that of another file with a word for masks at the end, or if it lies in a folder of
    masks and a file of its name in a folder of images beside it. In a folder with a mask `x_mask.png` all files of such
    names are masks, since an image may have been removed.

    Args:
        files: paths.

    Example:
        >>> names = ("a/x.png", "a/x_mask.png", "b/lone_mask.png", "images/y.jpg", "masks/y.png", "imagesTr/z_0000.png")
        >>> sorted(map(str, masks_by_name([Path(name) for name in (*names, "labelsTr/z.png")])))
        ['a/x_mask.png', 'labelsTr/z.png', 'masks/y.png']
    """
    stems = {_stem(file) for file in files}
    images = {key for file in files for key in _below(file, IMAGES_IN)}
    named = {file: hit for file in files if (hit := MASK_NAME.fullmatch(_stem(file)))}
    words = {(file.parent, hit["word"].lower()) for file, hit in named.items() if hit["id"] in stems}
    by_name = {file for file, hit in named.items() if (file.parent, hit["word"].lower()) in words}
    return by_name | {file for file in files if any(key in images for key in _below(file, MASKS_IN))}


def _below(file: Path, folder: re.Pattern[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where a folder of this kind above a file lies, and the names that the file may share with its image or mask."""
    stem = _stem(file)
    names = {stem, CHANNEL.sub("", stem)}
    if named := MASK_NAME.fullmatch(stem):
        names.add(named["id"])
    for place, part in enumerate(file.parts[:-1]):
        if folder.fullmatch(part):
            yield from ((file.parts[:place], name) for name in names)


def _stem(file: Path) -> str:
    """The name without its ending, which may have two parts."""
    return file.name[: len(file.name) - len(ending_of(file.name))] or file.name
