"""Oxford-IIIT Pet (Parkhi et al., "Cats and dogs", CVPR 2012): breed or species, and a mask of the animal."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.data.files.dataset_builder import FileDatasetBuilder
from tandem.data.files.faults import Faults, refuse
from tandem.data.files.masks import mask_values
from tandem.data.files.records import Decoder, Record
from tandem.data.samples import Samples
from tandem.data.shared_options import FileSource
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.files import check_regular

TRIMAP = {"1": "pet", "2": "background", "3": "ignore"}
SPECIES = ("cat", "dog")
FOLDER = "oxford-iiit-pet"
LISTS = {"train": "trainval.txt", "test": "test.txt"}


class OxfordPet(FileSource):
    """The Oxford-IIIT Pet data set in torchvision's layout; boundary pixels of the trimaps become missing (255).

    The published splits have no validation split; it is drawn from `trainval`.

    Args:
        root: the parent folder of `oxford-iiit-pet`; downloads go there too.
        classes: `breed` (37 classes) or `species` (cat, dog).
        download: whether torchvision downloads the set if it is absent, which needs a network.
        channels: 1 for grey, 3 for RGB.
        near_duplicates: whether to keep near-duplicates in one split, if the published splits are not used; `auto` does
            it for up to 20 000 images.
        resplit: whether to ignore the published splits.
        shared: options of `FileSource`.

    Attributes:
        name: "oxford_pet".
        targets: one mask channel, `pet`.

    Raises:
        ConfigError: an argument is out of range.
    """

    name = "oxford_pet"
    targets = Targets(mask_channels=("pet",))

    def __init__(
        self,
        root: str,
        *,
        classes: str = "breed",
        download: bool = False,
        channels: int = 3,
        near_duplicates: bool | str = False,
        resplit: bool = False,
        **shared: Any,
    ) -> None:
        if classes not in ("breed", "species"):
            raise ConfigError(f"data.classes is {classes!r}, but must be 'breed' or 'species'")
        super().__init__(channels=channels, **shared)
        self.root, self.download, self.by = root, download, classes
        decoder = Decoder(self.size, channels, values=mask_values(TRIMAP), fit=self.fit, crops=self.crops)
        self.builder = FileDatasetBuilder(
            self.name,
            self.targets,
            decoder,
            self.division,
            resplit,
            near_duplicates,
            self.storage,
            allow_overlap=self.allow_overlap,
        )
        self.listed: tuple[list[Record], list[str], tuple[str, ...]] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The breeds in the order of their numbers in the data set's lists; or cat and dog."""
        return SPECIES if self.by == "species" else self._list()[2]

    def load(self) -> dict[str, Samples]:
        """Reads the splits `train`, `val` and `test`.

        Raises:
            DataError: the root has no such data set, or lists or files cannot be used.
        """
        records, found, _ = self._list()
        faults = Faults(self.on_error)
        faults.found += found
        root = Path(self.root).expanduser()
        self.records, self.files_root = tuple(records), root
        self.lists = tuple(root / FOLDER / "annotations" / name for name in LISTS.values())
        read = self.builder.read(records, self.classes, root, faults)
        self.files_fingerprint, self.levels, self.skipped = read.fingerprint, read.levels, tuple(faults.found)
        self.file_masks = read.file_masks
        self.note(root / FOLDER, read.overlap)
        return read.splits

    def _list(self) -> tuple[list[Record], list[str], tuple[str, ...]]:
        """Records, faults and breeds from the data set's lists; read once."""
        if self.listed is None:
            folder = Path(self.root).expanduser() / FOLDER
            if not (folder / "annotations").is_dir():
                self._fetch()
            faults = Faults(self.on_error)
            lines = [line for split, name in LISTS.items() for line in _read_list(folder, name, split, faults)]
            numbers = sorted({line.breed for line in lines})
            names = {line.breed: line.name.rpartition("_")[0].replace("_", " ") for line in reversed(lines)}
            index = {number: place for place, number in enumerate(numbers)}
            records = [
                line.record(folder, line.species - 1 if self.by == "species" else index[line.breed]) for line in lines
            ]
            self.listed = records, faults.found, tuple(names[number] for number in numbers)
        return self.listed

    def _fetch(self) -> None:
        root = Path(self.root).expanduser()
        if not self.download:
            raise DataError(
                f"data.root={self.root!r} does not contain {FOLDER} with images and annotations: give its parent "
                "folder, or set data.download=true (needs a network)"
            )
        from torchvision.datasets import OxfordIIITPet

        try:
            OxfordIIITPet(str(root), download=True)
        except (OSError, RuntimeError) as error:
            text = " ".join(str(error).split())[:160]
            raise DataError(
                f"{FOLDER} cannot be downloaded ({text}): download it by hand into {str(root)!r}"
            ) from error


@dataclass(frozen=True)
class _Line:
    """A line `Abyssinian_100 1 1 1` of a list: name, breed (from 1), species (1 cat, 2 dog), and an unused number."""

    name: str
    breed: int
    species: int
    split: str
    place: str

    def record(self, folder: Path, label: int) -> Record:
        image, mask = folder / "images" / f"{self.name}.jpg", folder / "annotations" / "trimaps" / f"{self.name}.png"
        return Record(self.name, image, label, ((mask,),), split=self.split, place=self.place)


def _read_list(folder: Path, name: str, split: str, faults: Faults) -> list[_Line]:
    path = folder / "annotations" / name
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}): download the data set again") from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        parts, place = line.split(), f"{str(path)!r}, row {number}"
        whole = len(parts) == 4 and all(part.isdecimal() for part in parts[1:]) and "/" not in parts[0]
        if whole and parts[2] in ("1", "2"):
            lines.append(_Line(parts[0], int(parts[1]), int(parts[2]), split, place))
        else:
            faults.add(f"{line[:40]!r} is not a name, a breed, a species (1 or 2) and a number", place)
    refuse([] if lines else [f"{str(path)!r} lists no image: download the data set again"], 1)
    return lines
