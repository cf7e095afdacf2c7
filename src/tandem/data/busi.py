"""BUSI: breast ultrasound with class and lesion mask (Al-Dhabyani et al., Data in Brief 28:104863, 2020)."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tandem.data.cache import Arrays, cache_folder, fetch, files_digest
from tandem.data.duplicates import THUMBNAIL, group_names, mixed_groups, near_duplicate_groups, read_groups
from tandem.data.pictures import DECODER, fit, open_picture, read_mask, refuse
from tandem.data.samples import Samples
from tandem.data.splits import check_fractions, read_table, split_rows
from tandem.errors import ConfigError, DataError

log = logging.getLogger(__name__)

CLASSES = ("normal", "benign", "malignant")
FOLDER = "Dataset_BUSI_with_GT"
NO_GROUPS = "none"
MASK_NAME = re.compile(r"(?P<id>.+)_mask(_\d+)?")
FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}


@dataclass(frozen=True)
class Record:
    """The files of one picture.

    Attributes:
        id: name of the image file without its ending, such as `benign (195)`.
        label: index of its class.
        image: the picture.
        masks: its masks, none or several.
    """

    id: str
    label: int
    image: Path
    masks: tuple[Path, ...]


class BUSI:
    """The BUSI data set in its official layout, decoded once into memory.

    The layout is one folder per class with `benign (195).png`, `benign (195)_mask.png`, `benign (195)_mask_1.png` and
    so on; the masks of a picture are united. Pictures may have any size and are stretched to a square. The division is
    stratified by class and keeps near-duplicates together; it does not depend on `size` or `channels`. Decoded
    pictures are kept on disk under a digest of the files.

    Args:
        root: the folder that holds `normal`, `benign` and `malignant`, or its parent with `Dataset_BUSI_with_GT`.
        size: side of the square pictures in pixels, 8 to 4096.
        channels: 1 for grey, 3 for RGB.
        subset: csv file `class;id` of the pictures to use, such as the *Curated BUSI* of Aumente-Maestro et al. (2024);
            None for all.
        groups: csv file `group,image` of near-duplicates; None finds them by perceptual hash; the word `none` lets
            every picture stand alone.
        fractions: shares of `train`, `val` and `test`, above 0, together 1.
        split_seed: draws the division; 0 or more.
        cache: folder of the disk cache; None for `$TANDEM_CACHE` or `~/.cache/tandem`.

    Attributes:
        name: "busi".
        classes: "normal", "benign", "malignant".
        channels: as given.
        files_fingerprint: after `load`, the SHA-256 over names and bytes of all files used; None before.

    Raises:
        ConfigError: an argument out of its range.
    """

    name: str = "busi"
    classes: tuple[str, ...] = CLASSES

    def __init__(
        self,
        root: str | None,
        *,
        size: int = 128,
        channels: int = 1,
        subset: str | None = None,
        groups: str | None = None,
        fractions: Mapping[str, float] = FRACTIONS,
        split_seed: int = 0,
        cache: str | None = None,
    ) -> None:
        if type(size) is not int or not 8 <= size <= 4096:
            raise ConfigError(f"data.size is {size!r}, but must be a whole number of pixels from 8 to 4096")
        if type(channels) is not int or channels not in (1, 3):
            raise ConfigError(f"data.channels is {channels!r}, but must be 1 (grey) or 3 (RGB)")
        if type(split_seed) is not int or split_seed < 0:
            raise ConfigError(f"data.split_seed is {split_seed!r}, but must be a whole number from 0")
        self.root, self.size, self.channels = root, size, channels
        self.subset, self.groups, self.cache = subset, groups, cache
        self.fractions = check_fractions(fractions)
        self.split_seed = split_seed
        self.files_fingerprint: str | None = None

    def load(self) -> dict[str, Samples]:
        """The splits `train`, `val` and `test`, rows in order of their ids; `groups` is empty where switched off.

        Raises:
            DataError: a wrong root, files that cannot be used (counted, and ten of them named), a class missing from a
                split.
        """
        root = find_root(self.root)
        everything = scan(root)
        records = everything if self.subset is None else choose(everything, Path(self.subset).expanduser())
        decoded = self._decode(records, root)
        ids, labels = [record.id for record in records], [record.label for record in records]
        groups = self._groups(ids, [record.id for record in everything], decoded["thumbnails"])
        mixed = mixed_groups(groups, labels)
        log.info("busi: %d pictures in %d groups of near-duplicates", len(ids), len(set(groups)))
        if mixed:
            log.info("busi: %d groups mix classes: those of %s", len(mixed), ", ".join(mixed))
        rows_of = split_rows(labels, groups, self.fractions, self.split_seed, CLASSES)
        return {
            split: Samples(
                images=torch.from_numpy(decoded["images"][rows]),
                labels=torch.tensor(labels)[rows],
                masks=torch.from_numpy(decoded["masks"][rows]),
                ids=tuple(ids[row] for row in rows),
                groups=() if self.groups == NO_GROUPS else tuple(groups[row] for row in rows),
            )
            for split, rows in rows_of.items()
        }

    def _decode(self, records: Sequence[Record], root: Path) -> Arrays:
        """Pictures, masks and thumbnails of all records, from the cache if they are there."""
        import PIL

        files = [path for record in records for path in (record.image, *record.masks)]
        self.files_fingerprint = files_digest(files, root)
        recipe = f"{self.files_fingerprint}|{self.size}|{self.channels}|{DECODER}|{PIL.__version__}"
        path = cache_folder(self.cache) / f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()}.npz"
        shapes = array_shapes(len(records), self.size, self.channels)
        return fetch(path, shapes, lambda: decode(records, self.size, self.channels))

    def _groups(self, ids: Sequence[str], all_ids: Sequence[str], thumbnails: np.ndarray) -> tuple[str, ...]:
        """The group of each id, by name."""
        if self.groups == NO_GROUPS:
            return tuple(ids)
        if self.groups is None:
            return group_names(near_duplicate_groups(thumbnails), ids)
        listed = read_groups(Path(self.groups).expanduser(), all_ids)  # a list of the whole set serves its subsets too
        name_of = dict(zip(all_ids, group_names(listed, all_ids), strict=True))
        return tuple(name_of[name] for name in ids)


def find_root(root: str | None) -> Path:
    """The folder with the three class folders: `root` itself or `Dataset_BUSI_with_GT` in it.

    Raises:
        DataError: no root given, or no such folder.
    """
    wanted = f"the folder {FOLDER} with the class folders {', '.join(CLASSES)}"
    if not root:
        raise DataError(f"busi does not know where its pictures are: set data.root=... to {wanted}")
    given = Path(root).expanduser()
    if not given.is_dir():
        raise DataError(f"data.root={root!r} is not a folder: set data.root=... to {wanted}")
    for folder in (given, given / FOLDER):
        if all((folder / name).is_dir() for name in CLASSES):
            return folder
    absent = [name for name in CLASSES if not (given / name).is_dir()]
    raise DataError(f"data.root={root!r} lacks the class folders {', '.join(absent)}: set data.root=... to {wanted}")


def scan(root: Path) -> list[Record]:
    """The records of all pictures below the three class folders, in order of their ids. Hidden files are passed over.

    Raises:
        DataError: a class folder without pictures, a mask without its picture, two pictures of one name.
    """
    records: dict[str, Record] = {}
    faults = []
    for label, name in enumerate(CLASSES):
        files = sorted(p for p in (root / name).iterdir() if p.suffix.lower() == ".png" and not p.name.startswith("."))
        masks: dict[str, list[Path]] = {}
        for path in files:
            if match := MASK_NAME.fullmatch(path.stem):
                masks.setdefault(match["id"], []).append(path)
        images = {path.stem: path for path in files if not MASK_NAME.fullmatch(path.stem)}
        if not images:
            faults.append(f"class folder {str(root / name)!r} holds no png pictures: fetch the data set again")
        orphans = [str(masks[stem][0]) for stem in sorted(masks.keys() - images)]
        faults += [f"mask {orphan!r} belongs to no picture: add the picture or remove the mask" for orphan in orphans]
        twins = [str(images[stem]) for stem in sorted(images.keys() & records)]
        faults += [f"picture {twin!r} has the name of one of another class: rename one of them" for twin in twins]
        records |= {stem: Record(stem, label, path, tuple(masks.get(stem, ()))) for stem, path in images.items()}
    refuse(faults, len(records), "files")
    return [records[name] for name in sorted(records)]


def choose(records: Sequence[Record], path: Path) -> list[Record]:
    """The records named in a csv file `class;id`, where `benign;20` is `benign (20)`, in order of their ids.

    Raises:
        DataError: a file that cannot be read, an entry that names no picture or stands there twice.
    """
    known = {(CLASSES[record.label], record.id): record for record in records}
    rows = read_table(path, ("class", "id"), delimiter=";")
    chosen: dict[str, Record] = {}
    faults = []
    for row in rows:
        name = f"{row['class']} ({row['id']})"
        if name in chosen:
            faults.append(f"{str(path)!r} lists {name!r} twice: mend data.subset")
        elif (row["class"], name) not in known:
            faults.append(f"{str(path)!r} lists {name!r}, which is not below data.root: mend data.subset")
        else:
            chosen[name] = known[row["class"], name]
    refuse(faults, len(rows), "entries")
    return [chosen[name] for name in sorted(chosen)]


def array_shapes(count: int, size: int, channels: int) -> dict[str, tuple[int, ...]]:
    """The arrays that `decode` gives for `count` records, and their shapes."""
    return {
        "images": (count, channels, size, size),
        "masks": (count, 1, size, size),
        "thumbnails": (count, THUMBNAIL, THUMBNAIL),
    }


def decode(records: Sequence[Record], size: int, channels: int) -> Arrays:
    """Decodes pictures and masks; thumbnails are taken from the original, so that groups do not depend on `size`.

    Raises:
        DataError: all pictures and masks that cannot be used; a benign or malignant picture without a mask.
    """
    arrays = {name: np.zeros(shape, np.uint8) for name, shape in array_shapes(len(records), size, channels).items()}
    faults = []
    for row, record in enumerate(records):
        try:
            if not record.masks and CLASSES[record.label] != "normal":
                raise DataError(f"picture {str(record.image)!r} has no mask: add {record.id + '_mask.png'!r} beside it")
            picture = open_picture(record.image)
            arrays["images"][row] = fit(picture, size, channels)
            arrays["thumbnails"][row] = fit(picture, THUMBNAIL, 1)[0]
            arrays["masks"][row] = read_mask(record.masks, size, picture.size)
        except DataError as error:
            faults.append(str(error))
    refuse(faults, len(records))
    return arrays
