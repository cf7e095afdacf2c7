"""Reads COCO's annotation files: the images and their segmentations (Lin et al., "Microsoft COCO", ECCV 2014)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.coco_masks import draw
from tandem.data.files.faults import Faults
from tandem.data.files.paths import Paths
from tandem.data.files.vocabulary import IMAGES, SPLIT
from tandem.data.files.walk import walk
from tandem.errors import DataError
from tandem.utils.files import read_json

IGNORED = 2
"""Value of the pixels of a crowd in a mask file: several objects that are not outlined one by one."""

LARGEST, TRIED = 65536, 50
"""Largest side of an image in pixels, and number of images by which their folder is found."""

KEYS = ("images", "annotations", "categories")


@dataclass
class CocoImage:
    """An image and its annotations.

    Attributes:
        name: `file_name` as in the annotation file.
        path: the image file.
        height: its height in pixels, as stated.
        width: its width.
        split: its split; empty if the annotation files do not tell it.
        place: the annotation file, for messages.
        annotations: category and annotation of each object.
    """

    name: str
    path: Path
    height: int
    width: int
    split: str
    place: str
    annotations: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def categories(self) -> list[str]:
        """The categories of its objects, each once."""
        return list(dict.fromkeys(category for category, _ in self.annotations))

    def mask(self, categories: Iterable[str]) -> NDArray[np.uint8] | None:
        """Draws the objects of some categories: 0, 1, and `IGNORED` for crowds.

        Returns:
            (height, width); None if an object has no outline, only a box.

        Raises:
            DataError: a segmentation cannot be drawn.
        """
        wanted = set(categories)
        mask = np.zeros((self.height, self.width), dtype=np.uint8)
        for category, annotation in self.annotations:
            if category not in wanted:
                continue
            outline = annotation.get("segmentation")
            if not outline:
                return None
            try:
                inside = draw(outline, self.height, self.width)
            except (TypeError, ValueError) as error:
                raise DataError(f"annotation {annotation.get('id')} has a segmentation that cannot be read") from error
            except DataError as error:
                raise DataError(f"annotation {annotation.get('id')}: {error}") from error
            mask[inside & (mask != 1)] = IGNORED if annotation.get("iscrowd") else 1
        return mask


def read_coco(
    root: Path, files: Sequence[tuple[str, str]], images: str | None, faults: Faults
) -> tuple[list[CocoImage], tuple[str, ...]]:
    """Reads annotation files.

    Args:
        root: the folder that all paths are relative to, resolved.
        files: the split (may be empty) and the path of each annotation file.
        images: the folder that `file_name` is relative to; None: that of the annotation file, the root, or the only
            folder that has the images.
        faults: gets a line for each image that is not found, and for each annotation of an unknown image or category.

    Returns:
        The images in the order of their paths, and the names of the categories in the order of their ids.

    Raises:
        DataError: a file cannot be read or lacks a key.
    """
    paths, found = Paths(root), dict[Path, CocoImage]()
    categories: dict[int, str] = {}
    for split, name in files:
        content = _content(root / name)
        place = repr(str(root / name))
        known = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        categories |= known
        of_id: dict[Any, CocoImage] = {}
        folder = _folder(root, Path(name), content["images"]) if images is None else Path(images)
        for entry in content["images"]:
            try:
                image = _image(entry, root, folder, paths, split, place)
            except DataError as error:
                faults.add(str(error), place)
                continue
            first = of_id[entry["id"]] = found.setdefault(image.path, image)
            if first.split != split:
                faults.add(f"{image.name!r} is in {first.split} too, in {first.place}: list it in one split", place)
        listed = {entry["id"] for entry in content["images"]}
        for annotation in content["annotations"]:
            category = known.get(annotation.get("category_id"))
            if category is None or annotation.get("image_id") not in listed:
                faults.add(f"annotation {annotation.get('id')} is of an unknown image or category: remove it", place)
            elif owner := of_id.get(annotation["image_id"]):
                owner.annotations.append((category, annotation))
    return [found[path] for path in sorted(found)], tuple(dict.fromkeys(categories[key] for key in sorted(categories)))


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read ({error.strerror}): fix data.annotations") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is not a JSON file ({error}): download it again") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in KEYS):
        raise DataError(f"{str(path)!r} is not a COCO file: it needs lists of {', '.join(KEYS)}")
    entries = [*content["categories"], *content["images"], *content["annotations"]]
    ids = [entry for entry in entries if not isinstance(entry, dict) or not isinstance(entry.get("id"), int | str)]
    if ids:
        raise DataError(f"{str(path)!r} has an entry without an id ({str(ids[0])[:80]}): add it")
    return content


def _folder(root: Path, file: Path, entries: Sequence[Mapping[str, Any]]) -> Path:
    """The folder that names of images are relative to: the one that has the first of them.

    Raises:
        DataError: several folders have them, and the names of the folders do not tell which one is meant.
    """
    names = [name for entry in entries[:TRIED] if isinstance(name := entry.get("file_name"), str)]
    if not names or any((root / folder / names[0]).is_file() for folder in (file.parent, Path())):
        return next(
            (folder for folder in (file.parent, Path()) if names and (root / folder / names[0]).is_file()), Path()
        )
    last = f"/{names[0]}"
    found = [Path(f"/{one.name}".removesuffix(last)[1:]) for one in walk(root) if f"/{one.name}".endswith(last)]
    found = [folder for folder in found if all((root / folder / name).is_file() for name in names)]
    named = [folder for folder in found if IMAGES.fullmatch(folder.name) or SPLIT.fullmatch(folder.name)]
    chosen = found if len(found) == 1 else named
    if found and len(chosen) != 1:
        shown = " and ".join(repr(str(folder)) for folder in found)
        raise DataError(f"{names[0]!r} of {str(root / file)!r} is in {shown}: set data.images to one of them")
    return chosen[0] if chosen else Path()


def _image(entry: Mapping[str, Any], root: Path, folder: Path, paths: Paths, split: str, place: str) -> CocoImage:
    name, height, width = entry.get("file_name"), entry.get("height"), entry.get("width")
    sizes = all(type(side) is int and 0 < side <= LARGEST for side in (height, width))
    if not isinstance(name, str) or not isinstance(height, int) or not isinstance(width, int) or not sizes:
        raise DataError(f"image {entry['id']} needs file_name, height and width")
    path = paths.find(str(folder / name))
    if not path.is_file():
        raise DataError(f"image {name!r} is not below {str(root / folder)!r}: set data.images to its folder")
    return CocoImage(name, path, height, width, split, place)
