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
from tandem.errors import DataError
from tandem.utils.files import read_json

IGNORED = 2
"""Value of the pixels of a crowd in a mask file: several objects that are not outlined one by one."""

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
        images: the folder that `file_name` is relative to; None: that of the annotation file or the root; a name
            without a folder is searched for below the root.
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
        for entry in content["images"]:
            try:
                image = _image(entry, root, Path(name).parent, images, paths, split, place)
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


def _image(
    entry: Mapping[str, Any], root: Path, folder: Path, images: str | None, paths: Paths, split: str, place: str
) -> CocoImage:
    name, height, width = entry.get("file_name"), entry.get("height"), entry.get("width")
    if not isinstance(name, str) or not all(type(side) is int and 0 < side <= 65536 for side in (height, width)):
        raise DataError(f"image {entry['id']} needs file_name, height and width")
    folders = [Path(images)] if images is not None else [folder, Path()]
    tried = [str(start / name) for start in folders]
    text = next((path for path in tried if (root / path).is_file()), tried[0] if images is not None else name)
    path = paths.find(text)
    if not path.is_file():
        raise DataError(f"image {name!r} is not below {str(root)!r}: set data.images to its folder")
    assert isinstance(height, int) and isinstance(width, int), "checked above"  # noqa: PT018
    return CocoImage(name, path, height, width, split, place)
