"""BUSI: breast ultrasound with class and lesion mask (Al-Dhabyani et al., Data in Brief 28:104863, 2020)."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandem.data.files.archives import folder_of
from tandem.data.files.faults import Faults, refuse
from tandem.data.files.levels import settle_levels
from tandem.data.files.records import Decoder, Record
from tandem.data.samples import Samples
from tandem.data.shared_options import FileSource
from tandem.data.splitting.duplicates import group_names, mixed_groups, near_duplicate_groups, read_groups
from tandem.data.splitting.overlap import check_overlap
from tandem.data.splitting.splits import read_table
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError

log = logging.getLogger(__name__)

CLASSES = ("normal", "benign", "malignant")
FOLDER = "Dataset_BUSI_with_GT"
NO_GROUPS = "none"
MASK_NAME = re.compile(r"(?P<id>.+)_mask(_\d+)?")


class BUSI(FileSource):
    """The BUSI data set in its official layout; images are decoded once.

    The layout has one folder per class with `benign (195).png`, `benign (195)_mask.png`, `benign (195)_mask_1.png` and
    so on. Several masks of an image are merged. Images of any size are fitted into a square. The split is stratified
    by class and mask, and keeps near-duplicates in one split; it does not depend on `size` or `channels`. Decoded
    images are cached on disk under a digest of the files.

    Seven images, all benign, have coloured marks by the operator, from which a network may learn the class; `overlays`
    keeps or drops them.

    Args:
        root: the folder that holds `normal`, `benign` and `malignant`, or its parent with `Dataset_BUSI_with_GT`; or a
            zip or tar archive of either.
        subset: CSV file `class;id` of the images to use, such as the *Curated BUSI* of Aumente-Maestro et al. (2024);
            None: all images.
        groups: CSV file `group,image` of near-duplicates; None: find them by perceptual hash; `none`: every image is
            its own group.
        overlays: `keep` images with coloured marks, or `drop` them.
        shared: options of `FileSource`.

    Attributes:
        name: "busi".
        classes: "normal", "benign", "malignant".

    Raises:
        ConfigError: an argument is out of range.
    """

    name: str = "busi"
    classes: tuple[str, ...] = CLASSES
    targets = Targets()

    def __init__(
        self,
        root: str | None,
        *,
        subset: str | None = None,
        groups: str | None = None,
        overlays: str = "keep",
        **shared: Any,
    ) -> None:
        if overlays not in ("keep", "drop"):
            raise ConfigError(f"data.overlays is {overlays!r}, but must be 'keep' or 'drop'")
        super().__init__(**shared)
        self.root, self.subset, self.groups, self.overlays = root, subset, groups, overlays
        self.decoder = Decoder(self.size, self.channels, fit=self.fit, crops=self.crops)

    def load(self) -> dict[str, Samples]:
        """Reads the splits `train`, `val` and `test`, with rows sorted by id; `groups` is empty for `groups=none`.

        Raises:
            DataError: the root is wrong, files cannot be used (the message counts them and names ten), or a split has
                no image of a class.
        """
        self._check_lists()
        root = find_root(self.root if self.root is None else str(folder_of(self.root, self.cache)))
        faults = Faults(self.on_error)
        everything = scan(root, faults)
        records = everything if self.subset is None else choose(everything, Path(self.subset).expanduser())
        self.records, self.files_root, self.lists = tuple(records), root, self._lists()
        decoded = self.decoder.read(_with_masks(records, faults), root, self.name, self.storage, faults)
        faults.settle(len(records))
        self.files_fingerprint, self.skipped = decoded.fingerprint, tuple(faults.found)
        kept = self._without_overlays(decoded.arrays["coloured"], [record.id for record in decoded.records])
        ids = [decoded.records[row].id for row in kept]
        labels = [decoded.records[row].label for row in kept]
        groups = self._groups(ids, [record.id for record in everything], decoded.arrays["thumbnails"][kept])
        mixed = mixed_groups(groups, labels)
        log.info("busi: %d images in %d groups of near-duplicates", len(ids), len(set(groups)))
        if mixed:
            log.info("busi: %d groups contain several classes: those of %s", len(mixed), ", ".join(mixed))
        masked = decoded.arrays["masked"][kept].tolist()
        rows_of = self.division.rows(ids, labels, groups, CLASSES, masked, left_out=bool(faults.found))
        rows = {split: kept[part] for split, part in rows_of.items()}
        overlap = check_overlap(self.name, decoded.records, rows, self.division, (), self.allow_overlap, "groups=null")
        self.note(root, overlap)
        named = dict(zip(kept.tolist(), groups, strict=True))
        shown = () if self.groups == NO_GROUPS else [named.get(row, "") for row in range(len(decoded.records))]
        levels = settle_levels("busi", decoded, rows["train"], None)
        self.levels, self.file_masks = (levels,) if levels else (), decoded.file_masks()
        return {split: decoded.samples(part, shown, self.targets, levels) for split, part in rows.items()}

    def _check_lists(self) -> None:
        """Raises if a file that names rows or groups is gone, before images are read."""
        for option in ("subset", "groups"):
            given = getattr(self, option)
            if given not in (None, NO_GROUPS) and not Path(given).expanduser().is_file():
                raise DataError(f"data.{option}={given!r} is no file: give its place with data.{option}=...")

    def _lists(self) -> tuple[Path, ...]:
        """The files that name rows or groups, and the archive that the root was unpacked from."""
        given = [entry for entry in (self.subset, self.groups, self.root) if entry and entry != NO_GROUPS]
        return tuple(path for path in (Path(entry).expanduser().resolve() for entry in given) if path.is_file())

    def _without_overlays(self, coloured: np.ndarray, ids: Sequence[str]) -> np.ndarray:
        """The rows to use: all, or those without coloured marks."""
        marked = [ids[row] for row in np.flatnonzero(coloured).tolist()]
        if marked:
            done = "dropped" if self.overlays == "drop" else "kept (data.overlays=drop drops them)"
            log.info("busi: %d images with coloured marks are %s: %s", len(marked), done, ", ".join(marked))
        return np.flatnonzero(coloured == 0) if self.overlays == "drop" else np.arange(len(ids))

    def _groups(self, ids: Sequence[str], all_ids: Sequence[str], thumbnails: np.ndarray) -> tuple[str, ...]:
        """Name of the group of each id."""
        if self.groups == NO_GROUPS:
            return tuple(ids)
        if self.groups is None:
            return group_names(near_duplicate_groups(thumbnails), ids)
        listed = read_groups(Path(self.groups).expanduser(), all_ids)  # of the whole set, also if a subset is used
        name_of = dict(zip(all_ids, group_names(listed, all_ids), strict=True))
        return tuple(name_of[name] for name in ids)


def find_root(root: str | None) -> Path:
    """Finds the folder with the three class folders: `root` itself or `Dataset_BUSI_with_GT` in it.

    Raises:
        DataError: no root is given, or it has no such folder.
    """
    wanted = f"the folder {FOLDER} with the class folders {', '.join(CLASSES)}"
    if not root:
        raise DataError(f"busi needs the folder of its images: set data.root=... to {wanted}")
    given = Path(root).expanduser()
    if not given.is_dir():
        raise DataError(f"data.root={root!r} is not a folder: set data.root=... to {wanted}")
    for folder in (given, given / FOLDER):
        if all((folder / name).is_dir() for name in CLASSES):
            return folder
    absent = [name for name in CLASSES if not (given / name).is_dir()]
    raise DataError(f"data.root={root!r} lacks the class folders {', '.join(absent)}: set data.root=... to {wanted}")


def scan(root: Path, faults: Faults) -> list[Record]:
    """Lists the records of all images in the three class folders, sorted by id. Hidden files are skipped.

    Args:
        root: the folder with the class folders.
        faults: receives one line for each mask without an image, and for each name that two images share.

    Raises:
        DataError: a class folder has no images.
    """
    records: dict[str, Record] = {}
    empty = []
    for label, name in enumerate(CLASSES):
        files = sorted(p for p in (root / name).iterdir() if p.suffix.lower() == ".png" and not p.name.startswith("."))
        masks: dict[str, list[Path]] = {}
        for path in files:
            if match := MASK_NAME.fullmatch(path.stem):
                masks.setdefault(match["id"], []).append(path)
        images = {path.stem: path for path in files if not MASK_NAME.fullmatch(path.stem)}
        if not images:
            empty.append(f"class folder {str(root / name)!r} has no PNG images: download the data set again")
        for stem in sorted(masks.keys() - images):
            faults.add(f"mask {str(masks[stem][0])!r} belongs to no image: add the image or remove the mask")
        for stem in sorted(images.keys() & records):
            faults.add(
                f"image {str(images[stem])!r} has the same name as an image of another class: rename one of them"
            )
        for stem in images.keys() - records:
            records[stem] = Record(stem, images[stem], label, (tuple(masks.get(stem, ())),))
    refuse(empty, len(CLASSES), "class folders")
    return [records[name] for name in sorted(records)]


def _with_masks(records: Sequence[Record], faults: Faults) -> list[Record]:
    """The records, without those whose class requires a mask but which have none."""
    for record in records:
        if record.masks == ((),) and CLASSES[record.label] != "normal":
            faults.add(f"image {str(record.image)!r} has no mask: add {record.id + '_mask.png'!r} beside it")
    return [record for record in records if record.masks != ((),) or CLASSES[record.label] == "normal"]


def choose(records: Sequence[Record], path: Path) -> list[Record]:
    """Selects the records listed in a CSV file `class;id`, sorted by id; `benign;20` stands for `benign (20)`.

    Raises:
        DataError: the file cannot be read, or an entry names no image or is listed twice.
    """
    known = {(CLASSES[record.label], record.id): record for record in records}
    rows = read_table(path, ("class", "id"), delimiter=";")
    chosen: dict[str, Record] = {}
    faults = []
    for row in rows:
        name = f"{row['class']} ({row['id']})"
        if name in chosen:
            faults.append(f"{str(path)!r} lists {name!r} twice: fix data.subset")
        elif (row["class"], name) not in known:
            faults.append(f"{str(path)!r} lists {name!r}, which is not below data.root: fix data.subset")
        else:
            chosen[name] = known[row["class"], name]
    refuse(faults, len(rows), "entries")
    return [chosen[name] for name in sorted(chosen)]
