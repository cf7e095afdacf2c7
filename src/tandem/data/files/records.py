"""Rows of a data set made of files: which files belong to a row, and what they hold once they are decoded."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.files.cache import Arrays, cache_folder, digest, fetch
from tandem.data.files.faults import Faults
from tandem.data.files.file_state import names_below, recall, remember, state_of
from tandem.data.files.images import DECODER, DEEP_MODES, MODES, fit, open_picture, shallow
from tandem.data.files.masks import MaskValues, square, unite
from tandem.data.loading.storage import Mapped, Redecoded, Storage, as_tensor, pick, rows_at_once
from tandem.data.samples import Samples
from tandem.data.splitting.duplicates import THUMBNAIL
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError

log = logging.getLogger(__name__)

PIXELS = ("images", "masks")
"""The arrays that may be too large for memory; the others have a few bytes, or a thumbnail, for each row."""

NO_MASK, EMPTY_MASK, FILLED_MASK = 0, 1, 2
"""What is known of a row's masks, for stratification."""

COLOURFUL = 40
"""A pixel is coloured where its channels differ by more levels than this, which JPEG's do not in a grey picture."""


@dataclass(frozen=True, slots=True)
class Record:
    """The files and targets of one picture.

    Attributes:
        id: unique in the data set.
        image: the picture.
        label: index of its class, -100 where unknown.
        masks: for each mask channel its files; () is an empty mask, None an unknown one.
        group: whose members stay in one split; empty where it stands alone.
        split: where the data set itself puts it; empty where it does not say.
        findings: 0, 1 or 255 each.
        columns: numbers, nan where unknown.
        place: names the row of a table, for messages.
    """

    id: str
    image: Path
    label: int = MISSING_LABEL
    masks: tuple[tuple[Path, ...] | None, ...] = ()
    group: str = ""
    split: str = ""
    findings: tuple[int, ...] = ()
    columns: tuple[float, ...] = ()
    place: str = ""

    @property
    def files(self) -> list[Path]:
        """The picture and its masks."""
        return [self.image, *(path for channel in self.masks for path in channel or ())]


@dataclass(frozen=True)
class Decoded:
    """Records with what their files hold, in the same order.

    Attributes:
        records: those that could be used.
        pixels: `images` and `masks`, in memory or not.
        in_memory: whether a split's share of them is to be.
        arrays: grey `thumbnails`, what is known of the `masked`, and whether `coloured`.
        fingerprint: SHA-256 over names and bytes of all files used.
    """

    records: tuple[Record, ...]
    pixels: Mapping[str, Tensor]
    in_memory: bool
    arrays: Arrays
    fingerprint: str

    def samples(self, rows: NDArray[np.int64], groups: Sequence[str], targets: Targets) -> Samples:
        """Some of the rows as a split.

        Args:
            rows: which.
            groups: of all rows; empty where rows stand alone.
            targets: what the data set has.
        """
        chosen = [self.records[row] for row in rows]
        index = torch.from_numpy(rows)
        pixels = {name: part[index] if self.in_memory else pick(part, index) for name, part in self.pixels.items()}
        findings = torch.tensor([record.findings for record in chosen], dtype=torch.uint8)
        columns = torch.tensor([record.columns for record in chosen], dtype=torch.float32).reshape(len(chosen), -1)
        return Samples(
            images=pixels["images"],
            labels=torch.tensor([record.label for record in chosen], dtype=torch.int64),
            masks=pixels["masks"],
            ids=tuple(record.id for record in chosen),
            groups=tuple(groups[row] for row in rows) if groups else (),
            findings=findings if targets.findings else None,
            columns={name: columns[:, place].clone() for place, name in enumerate(targets.columns)},
        )


@dataclass(frozen=True)
class Decoder:
    """How files become arrays.

    Attributes:
        size: side of the square pictures in pixels, 8 to 4096.
        channels: 1 for grey, 3 for RGB.
        mask_depth: channels of a mask.
        values: what the values of a mask mean; None for 0 and 1 or 255.
        grey_range: levels of pictures deeper than 8 bits that become black and white; None for 0 and 65535.
        deep: whether such pictures are read at all.
        thumbnails: whether there are grey thumbnails, to find near-duplicates by.

    Raises:
        ConfigError: a value out of range.
    """

    size: int
    channels: int
    mask_depth: int = 1
    values: MaskValues | None = None
    grey_range: tuple[float, float] | None = None
    deep: bool = False
    thumbnails: bool = True

    def __post_init__(self) -> None:
        """Refuses what cannot work, before any file is touched."""
        if type(self.size) is not int or not 8 <= self.size <= 4096:
            raise ConfigError(f"data.size is {self.size!r}, but must be a whole number of pixels from 8 to 4096")
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise ConfigError(f"data.channels is {self.channels!r}, but must be 1 (grey) or 3 (RGB)")

    def read(self, records: Sequence[Record], root: Path, name: str, storage: Storage, faults: Faults) -> Decoded:
        """Decodes all records, or finds them in the disk cache; those that cannot be used are noted and left out.

        Args:
            records: the rows.
            root: the folder that file names are relative to.
            name: of the data set, for the cache file.
            storage: where decoded pictures are kept.
            faults: gets a line for each record that cannot be used.
        """
        import PIL

        present, fingerprint = _fingerprint(records, root, faults, cache_folder(storage.cache))
        recipe = f"{fingerprint}|{_structure(present, root)}|{self}|{DECODER}|{PIL.__version__}"
        path = cache_folder(storage.cache) / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()}.npz"
        shapes = self.shapes(len(present))
        need, limit = sum(int(np.prod(shapes[key])) for key in PIXELS), storage.limit
        stored = fetch(path, shapes, partial(self.parts, present))
        kept, arrays = _split(stored) if stored else self._without_cache(present, in_memory=need <= limit)
        where = "held in memory" if need <= limit else f"read from {path}" if stored else "DECODED FOR EACH BATCH: slow"
        log.info(
            "data %s: %d pictures, %.3g GB decoded, %s (data.memory_gb is %.3g)",
            name, len(present), need / 1e9, where, limit / 1e9,
        )  # fmt: skip
        for row in np.flatnonzero(arrays["usable"] == 0).tolist():
            if fault := self._decode_row(self._empty(1), 0, present[row]):
                faults.add(fault, present[row].place)
        usable = np.flatnonzero(arrays["usable"])
        if len(usable) < len(present):
            kept = {key: pick(part, torch.from_numpy(usable)) for key, part in kept.items()}
            arrays = {key: array[usable] for key, array in arrays.items()}
        return Decoded(tuple(present[row] for row in usable), kept, need <= limit, arrays, fingerprint)

    def _without_cache(self, records: Sequence[Record], in_memory: bool) -> tuple[dict[str, Tensor], Arrays]:
        """Pixels and the rest where nothing can be kept on disk."""
        names = [name for name in self.shapes(0) if in_memory or name not in PIXELS]
        parts = [{name: part[name] for name in names} for part in self.parts(records)]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in names}
        if in_memory:
            return {name: torch.from_numpy(arrays.pop(name)) for name in PIXELS}, arrays

        def again(name: str, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
            return self.decode([records[row] for row in rows])[name]

        rows, shapes = np.arange(len(records)), self.shapes(0)
        found = {name: as_tensor(Redecoded(partial(again, name), rows, shapes[name][1:])) for name in PIXELS}
        return found, arrays

    def shapes(self, count: int) -> dict[str, tuple[int, ...]]:
        """The arrays that `decode` gives for `count` records, and their shapes."""
        return {
            "images": (count, self.channels, self.size, self.size),
            "masks": (count, self.mask_depth, self.size, self.size),
            "thumbnails": (count, THUMBNAIL, THUMBNAIL) if self.thumbnails else (count, 0, 0),
            "masked": (count,),
            "coloured": (count,),
            "usable": (count,),
        }

    def decode(self, records: Sequence[Record]) -> Arrays:
        """Decodes pictures and masks; what is not `usable` stays 0.

        Thumbnails, and what is known of the masks, are taken from the originals, so that neither groups nor divisions
        depend on `size`.
        """
        arrays = self._empty(len(records))
        for row, record in enumerate(records):
            self._decode_row(arrays, row, record)
        return arrays

    def parts(self, records: Sequence[Record]) -> Iterator[Arrays]:
        """What `decode` gives, some rows at a time; one part at least."""
        rows = rows_at_once((sum(int(np.prod(shape[1:])) for shape in self.shapes(1).values()),))
        for start in range(0, max(1, len(records)), rows):
            yield self.decode(records[start : start + rows])

    def _empty(self, count: int) -> Arrays:
        return {name: np.zeros(shape, np.uint8) for name, shape in self.shapes(count).items()}

    def _decode_row(self, arrays: Arrays, row: int, record: Record) -> str | None:
        """Fills in a row, or says why it cannot be used."""
        try:
            picture = open_picture(record.image, (*MODES, *DEEP_MODES) if self.deep else MODES)
            picture = shallow(picture, record.image, self.grey_range)
            masks, masked = self._masks(record, picture.size)
        except DataError as error:
            return str(error)
        arrays["images"][row] = fit(picture, self.size, self.channels)
        if self.thumbnails:
            arrays["thumbnails"][row] = fit(picture, THUMBNAIL, 1)[0]
        arrays["masks"][row] = masks
        arrays["masked"][row] = masked
        arrays["coloured"][row] = picture.mode not in ("1", "L", "LA") and _coloured(np.asarray(picture.convert("RGB")))
        arrays["usable"][row] = 1
        return None

    def _masks(self, record: Record, image_size: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
        """(K, size, size), and what is known of them."""
        masks = np.full((self.mask_depth, self.size, self.size), MISSING_PIXEL, dtype=np.uint8)
        masked = NO_MASK
        for channel, paths in enumerate(record.masks):
            if paths is None:
                continue
            whole = unite(paths, image_size, self.values)
            masks[channel] = square(whole, self.size)[0]
            filled = bool(((whole > 0) & (whole != MISSING_PIXEL)).any())
            masked = max(masked, FILLED_MASK if filled else EMPTY_MASK)
        return masks, masked


def _split(stored: Mapping[str, Mapped]) -> tuple[dict[str, Tensor], Arrays]:
    """Pixels, which stay on disk, and the rest, which does not."""
    small = {name: array[...].numpy() for name, array in stored.items() if name not in PIXELS}
    return {name: as_tensor(stored[name]) for name in PIXELS}, small


def _fingerprint(records: Sequence[Record], root: Path, faults: Faults, cache: Path) -> tuple[list[Record], str]:
    """The records whose files can be read, and SHA-256 over names and bytes of these files.

    Files that were not touched since they were all read are not read again: their SHA-256 lies in the cache.
    """
    state = state_of((path for record in records for path in record.files), root)
    note = cache / f"files-{state}.txt"
    if state and (known := recall(note)):
        return list(records), known
    present = []
    whole, name_of = hashlib.sha256(), names_below(root)
    for record in records:
        try:
            parts = [digest(path, name_of(path).replace(os.sep, "/")) for path in record.files]
        except DataError as error:
            faults.add(str(error), record.place)
            continue
        present.append(record)
        whole.update(b"".join(parts))
    if state and len(present) == len(records):
        remember(note, whole.hexdigest())
    return present, whole.hexdigest()


def _structure(records: Sequence[Record], root: Path) -> str:
    """Which files belong to which row and channel."""
    whole, name_of = hashlib.sha256(), names_below(root)
    for record in records:
        masks = [None if paths is None else [name_of(path) for path in paths] for paths in record.masks]
        whole.update(f"{name_of(record.image)}|{masks}\n".encode())
    return whole.hexdigest()


def _coloured(pixels: NDArray[np.uint8]) -> bool:
    """Whether more than one pixel in a thousand has a colour."""
    return bool((pixels.max(2) - pixels.min(2) > COLOURFUL).mean() > 0.001)
