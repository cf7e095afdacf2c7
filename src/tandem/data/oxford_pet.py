"""Oxford-IIIT Pet (Parkhi et al., "Cats and dogs", CVPR 2012): breed or species, and a trimap of the animal."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.data.files.dataset_builder import FileDatasetBuilder
from tandem.data.files.faults import Faults, check_on_error, refuse
from tandem.data.files.masks import mask_values
from tandem.data.files.records import Decoder, Record
from tandem.data.loading.storage import Storage
from tandem.data.samples import Samples
from tandem.data.splitting.split_spec import FRACTIONS, SplitSpec
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.files import check_regular

TRIMAP = {"1": "pet", "2": "background", "3": "ignore"}
SPECIES = ("cat", "dog")
FOLDER = "oxford-iiit-pet"
LISTS = {"train": "trainval.txt", "test": "test.txt"}


class OxfordPet:
    """The Oxford-IIIT Pet data set as torchvision lays it out; the trimaps' boundary pixels count nowhere (255).

    The published division has no validation split; it is carved out of `trainval`.

    Args:
        root: the folder that holds, or is to hold, `oxford-iiit-pet`.
        classes: `breed` (37) or `species` (cat, dog).
        download: whether torchvision fetches the set where it is absent, which needs a network.
        size: side of the square pictures in pixels, 8 to 4096.
        channels: 1 for grey, 3 for RGB.
        near_duplicates: whether pictures that look alike are kept in one split, where the set is divided anew; `auto`
            looks for them among up to 20 000 pictures.
        fractions: shares of `train`, `val` and `test`, above 0, together 1.
        split_seed: draws the division; 0 or more.
        folds: number of folds for cross-validation, or None.
        fold: the fold that is tested on, from 0.
        split_file: csv file `id,split`, or None.
        resplit: whether the published division is disregarded.
        on_error: `fail` refuses the data set for any fault in it, `skip` leaves out the pictures concerned.
        cache: folder of the disk cache; None for `$TANDEM_CACHE` or `~/.cache/tandem`.
        memory_gb: decoded pictures that need more than so many GB are read from the disk cache batch by batch; None for
            half of the free memory.

    Attributes:
        name: "oxford_pet".
        targets: one mask channel, `pet`.
        channels: as given.
        files_fingerprint: after `load`, the SHA-256 over names and bytes of all files used; None before.
        skipped: after `load`, a line for each fault that was skipped.
        records: after `load`, the files of each picture that was listed.

    Raises:
        ConfigError: an argument out of its range.
    """

    name = "oxford_pet"
    targets = Targets(mask_channels=("pet",))

    def __init__(
        self,
        root: str,
        *,
        classes: str = "breed",
        download: bool = False,
        size: int = 128,
        channels: int = 3,
        near_duplicates: bool | str = False,
        fractions: Mapping[str, float] = FRACTIONS,
        split_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        split_file: str | None = None,
        resplit: bool = False,
        on_error: str = "fail",
        cache: str | None = None,
        memory_gb: float | None = None,
    ) -> None:
        if classes not in ("breed", "species"):
            raise ConfigError(f"data.classes is {classes!r}, but must be 'breed' or 'species'")
        self.root, self.download, self.by = root, download, classes
        self.channels = channels
        division = SplitSpec(fractions, split_seed, folds, fold, split_file)
        decoder = Decoder(size, channels, values=mask_values(TRIMAP))
        storage = Storage(cache, memory_gb)
        self.filing = FileDatasetBuilder(self.name, self.targets, decoder, division, resplit, near_duplicates, storage)
        self.on_error = check_on_error(on_error)
        self.listed: tuple[list[Record], list[str], tuple[str, ...]] | None = None
        self.files_fingerprint: str | None = None
        self.skipped: tuple[str, ...] = ()
        self.records: tuple[Record, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The breeds in the order of their numbers, as the lists of the set name them; or cat and dog."""
        return SPECIES if self.by == "species" else self._list()[2]

    def load(self) -> dict[str, Samples]:
        """The splits `train`, `val` and `test`.

        Raises:
            DataError: a root without the data set, lists or files that cannot be used.
        """
        records, found, _ = self._list()
        faults = Faults(self.on_error)
        faults.found += found
        root = Path(self.root).expanduser()
        self.records = tuple(records)
        splits, self.files_fingerprint = self.filing.read(records, self.classes, root, faults)
        self.skipped = tuple(faults.found)
        return splits

    def _list(self) -> tuple[list[Record], list[str], tuple[str, ...]]:
        """Records, faults and breeds from the lists of the set, read once."""
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
                f"data.root={self.root!r} does not hold {FOLDER} with images and annotations: give its parent folder, "
                "or say data.download=true (needs a network)"
            )
        from torchvision.datasets import OxfordIIITPet

        try:
            OxfordIIITPet(str(root), download=True)
        except (OSError, RuntimeError) as error:
            text = " ".join(str(error).split())[:160]
            raise DataError(f"{FOLDER} cannot be fetched ({text}): fetch it by hand into {str(root)!r}") from error


@dataclass(frozen=True)
class _Line:
    """A line `Abyssinian_100 1 1 1` of a list: name, breed from 1, species (1 cat, 2 dog), and a number of no use."""

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
        raise DataError(f"{str(path)!r} cannot be read ({error}): fetch the data set again") from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        parts, place = line.split(), f"{str(path)!r}, row {number}"
        whole = len(parts) == 4 and all(part.isdecimal() for part in parts[1:]) and "/" not in parts[0]
        if whole and parts[2] in ("1", "2"):
            lines.append(_Line(parts[0], int(parts[1]), int(parts[2]), split, place))
        else:
            faults.add(f"{line[:40]!r} is not a name, a breed, a species (1 or 2) and a number", place)
    refuse([] if lines else [f"{str(path)!r} lists no picture: fetch the data set again"], 1)
    return lines
