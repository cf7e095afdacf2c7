"""Images with COCO's annotations: polygons or run lengths in JSON files (Lin et al., ECCV 2014)."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tandem.data.batch import MISSING_LABEL
from tandem.data.files.archives import folder_of
from tandem.data.files.cache import cache_folder
from tandem.data.files.coco import IGNORED, CocoImage, read_coco
from tandem.data.files.dataset_builder import FileDatasetBuilder
from tandem.data.files.faults import Faults
from tandem.data.files.file_state import names_below
from tandem.data.files.ids import owners_of, read_ids
from tandem.data.files.masks import IGNORE, mask_values
from tandem.data.files.records import Decoder, Record
from tandem.data.files.rows import split_name
from tandem.data.samples import Samples
from tandem.data.shared_options import FileSource
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.files import read_json, sha256, write_json

OBJECTS = "object"
"""Name of the mask channel of all categories."""

LINK, INDEX = "data", "index.json"
"""Names in the folder of drawn masks: a link to the root, and what is known of each mask."""

EMPTY, UNKNOWN = "empty", "unknown"

VERSION = 1
"""Version of the mask files; increased with every change of how they are drawn."""


class Coco(FileSource):
    """Images with COCO's annotation files, whose polygons and run lengths become masks.

    Masks are drawn once, into the cache: a pixel belongs to a polygon if its centre lies inside. (pycocotools rounds
    the corners first; masks differ in a few pixels at the border.) Pixels of crowds are ignored. An image without
    annotations has an empty mask; one with boxes only has none.

    Args:
        root: the folder of images and annotation files, or a zip or tar archive of it.
        annotations: path of a JSON file relative to the root; or several; or one for each split,
            `{train: ..., val: ..., test: ...}`, where `val` need not occur.
        images: the folder below the root that `file_name` is relative to; None: that of the annotation file, or the
            root.
        name: name of the data set in logs and results.
        channels: 1 for grey, 3 for RGB.
        masks: `one` channel for all categories, or `categories`, a channel for each.
        label: whether the class of an image is the category of its objects, if they have only one; if not, images have
            no class.
        near_duplicates: whether to keep near-duplicates in one split; `auto` does it for up to 20 000 images.
        resplit: whether to ignore the splits of the annotation files.
        ids: `plain`, or `hashed`: images and groups are named by a keyed hash in all that is written, see
            `tandem.data.files.ids`.
        shared: options of `FileSource`.

    Attributes:
        name: see the argument.

    Raises:
        ConfigError: an argument is out of range.

    Example:
        `data=coco data.root=balloon 'data.annotations={train: train/a.json, test: val/a.json}' task=segmentation`
    """

    def __init__(
        self,
        root: str,
        annotations: str | Sequence[str] | Mapping[str, str],
        *,
        images: str | None = None,
        name: str = "coco",
        channels: int = 3,
        masks: str = "one",
        label: bool = False,
        near_duplicates: bool | str = "auto",
        resplit: bool = False,
        ids: str = "plain",
        **shared: Any,
    ) -> None:
        super().__init__(channels=channels, **shared)
        if masks not in ("one", "categories"):
            raise ConfigError(f"data.masks is {masks!r}, but must be 'one' or 'categories'")
        self.files = _by_split(annotations)
        if images is not None and (images.startswith("/") or ".." in images.split("/")):
            raise ConfigError(f"data.images is {images!r}, but must lie below data.root")
        self.root, self.name, self.images, self.masks, self.label = root, name, images, masks, label
        self.resplit, self.near_duplicates, self.ids = resplit, near_duplicates, read_ids(ids)
        self.decoder = Decoder(self.size, self.channels, fit=self.fit, crops=self.crops)
        self.listed: tuple[Path, list[CocoImage], tuple[str, ...], list[str]] | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of the annotation files, in the order of their ids."""
        return self._list()[2]

    @property
    def classes(self) -> tuple[str, ...]:
        """The categories that are the class of an image; none without `label`."""
        if not self.label:
            return ()
        known = {image.categories[0] for image in self._list()[1] if len(image.categories) == 1}
        return tuple(name for name in self.categories if name in known)

    @property
    def targets(self) -> Targets:
        """The mask channels."""
        return Targets(mask_channels=tuple(self._channels()))

    def load(self) -> dict[str, Samples]:
        """Reads the splits `train`, `val` and `test`.

        Raises:
            DataError: annotations or images cannot be used, or rows cannot be split as asked.
        """
        root, images, _, found = self._list()
        faults = Faults(self.on_error)
        faults.found += found
        drawn = self._draw(root, images)
        records = self._records(root, images, drawn, faults)
        decoder = replace(
            self.decoder, mask_depth=len(self._channels()), values=mask_values({"1": OBJECTS, str(IGNORED): IGNORE})
        )
        builder = FileDatasetBuilder(
            self.name, self.targets, decoder, self.division, self.resplit, self.near_duplicates, self.storage,
            allow_overlap=self.allow_overlap, ids=self.ids,
        )  # fmt: skip
        with self.ids.concealing(drawn, owners_of(records)):
            read = builder.read(records, self.classes, drawn, faults)
        self.files_fingerprint, self.levels = read.fingerprint, read.levels
        self.file_masks = read.file_masks
        self.skipped = self.conceal(records, drawn, faults.found)
        # a change of a mask follows from one of its annotation file
        name_of = names_below(drawn / LINK)
        self.records = tuple(replace(record, image=root / name_of(record.image), masks=()) for record in self.records)
        self.files_root, self.lists = root, tuple(root / name for _, name in self.files)
        self.note(root, read.overlap)
        return read.splits

    def _list(self) -> tuple[Path, list[CocoImage], tuple[str, ...], list[str]]:
        """The root, images, categories, and faults; read once."""
        if self.listed is None:
            root = folder_of(self.root, self.cache).resolve()
            if not root.is_dir():
                raise DataError(f"data.root={self.root!r} is not a folder: give the folder with the images")
            faults = Faults(self.on_error)
            images, categories = read_coco(root, self.files, self.images, faults)
            self.listed = (root, images, categories, faults.found)
        return self.listed

    def _channels(self) -> dict[str, tuple[str, ...]]:
        """The categories of each mask channel."""
        if self.masks == "categories" or len(self.categories) == 1:
            return {name: (name,) for name in self.categories}
        return {OBJECTS: self.categories}

    def _draw(self, root: Path, images: Sequence[CocoImage]) -> Path:
        """The folder with the mask files and a link to the images, in the cache; made once for these annotations.

        Names relative to it do not depend on where the root and the cache lie.
        """
        digests = [sha256(root / name) for _, name in self.files]
        key = f"{VERSION}|{root}|{self.images}|{self.masks}|{digests}"
        target = cache_folder(self.cache).resolve() / "coco" / hashlib.sha256(key.encode()).hexdigest()
        if not target.is_dir():
            half = target.with_name(f".{target.name}.{os.getpid()}")
            half.mkdir(parents=True)
            try:
                (half / LINK).symlink_to(root, target_is_directory=True)
                write_json(half / INDEX, list(self._draw_all(half / "masks", images)))
                half.replace(target)
            except OSError as error:
                if not target.is_dir():  # another process may have made it
                    raise DataError(f"{str(target)!r} cannot be written ({error.strerror}): set data.cache") from error
            finally:
                shutil.rmtree(half, ignore_errors=True)
        return target

    def _draw_all(self, folder: Path, images: Sequence[CocoImage]) -> Iterator[list[str] | str]:
        """The states of each image's masks; or why they cannot be drawn."""
        for number, image in enumerate(images):
            try:
                yield self._draw_image(folder, number, image)
            except DataError as error:
                yield str(error)

    def _draw_image(self, folder: Path, number: int, image: CocoImage) -> list[str]:
        """Writes the masks of an image; returns for each channel its file, EMPTY, or UNKNOWN.

        Raises:
            DataError: a segmentation cannot be drawn.
        """
        from PIL import Image

        states = []
        for channel, categories in enumerate(self._channels().values()):
            mask = image.mask(categories)
            if mask is None or not mask.any():
                states.append(UNKNOWN if mask is None else EMPTY)
                continue
            folder.mkdir(exist_ok=True)
            Image.fromarray(mask).save(folder / f"{number}_{channel}.png")
            states.append(f"{folder.name}/{number}_{channel}.png")
        return states

    def _records(self, root: Path, images: Sequence[CocoImage], drawn: Path, faults: Faults) -> list[Record]:
        """The records of the images, with paths below the folder of drawn masks."""
        index = {name: place for place, name in enumerate(self.classes)}
        records = []
        for image, states in zip(images, read_json(drawn / INDEX), strict=True):
            if isinstance(states, str):
                faults.add(f"image {image.name!r}: {states}", image.place)
                continue
            name = image.path.relative_to(root)
            masks = tuple({EMPTY: (), UNKNOWN: None}.get(state, (drawn / state,)) for state in states)
            label = index[image.categories[0]] if self.label and len(image.categories) == 1 else MISSING_LABEL
            split = "" if self.resplit else image.split
            records.append(
                Record(str(name.with_suffix("")), drawn / LINK / name, label, masks, split=split, place=image.place)
            )
        return records


def _by_split(annotations: str | Sequence[str] | Mapping[str, str]) -> list[tuple[str, str]]:
    """The split and path of each annotation file."""
    if isinstance(annotations, Mapping):
        pairs = [(split_name(str(split)), str(path)) for split, path in annotations.items()]
        if not all(split for split, _ in pairs):
            raise ConfigError(
                f"data.annotations has the splits {', '.join(map(str, annotations))}; use train, val, test"
            )
    else:
        pairs = [("", path) for path in ([annotations] if isinstance(annotations, str) else annotations)]
    if not pairs:
        raise ConfigError("data.annotations is empty; give the path of a JSON file")
    if wrong := [path for _, path in pairs if path.startswith("/") or ".." in path.split("/")]:
        raise ConfigError(f"data.annotations is {wrong[0]!r}, but must lie below data.root")
    return pairs
