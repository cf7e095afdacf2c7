"""Rows of a data set of files: the files of each row, and how they are decoded."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.files.cache import Arrays, cache_folder, fetch
from tandem.data.files.faults import Faults
from tandem.data.files.fingerprint import fingerprint_of, structure_of
from tandem.data.files.images import DECODER, PLAIN, ReadOptions, dtype_of, read_raster
from tandem.data.files.masks import MaskValues, unite
from tandem.data.files.own_masks import FileMasks
from tandem.data.files.placement import Placement, check_fit
from tandem.data.files.raster import BYTE, Levels, Raster, byte_view, fit
from tandem.data.files.spacing import UNKNOWN, Spacing
from tandem.data.files.whole_images import WholeFiles
from tandem.data.loading.crops import Crops, Whole
from tandem.data.loading.storage import BYTES, Mapped, Redecoded, Storage, as_tensor, pick, rows_at_once
from tandem.data.samples import Samples
from tandem.data.splitting.duplicates import THUMBNAIL
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.machine import shares_machine

log = logging.getLogger(__name__)

PIXELS = ("images", "masks")
"""The arrays that may not fit into memory; the others take a few bytes, or a thumbnail, for each row."""

SIZES = ("spacing", "extent")
"""The arrays with a height and a width for each row."""

NO_MASK, EMPTY_MASK, FILLED_MASK = 0, 1, 2
"""State of a row's masks, for stratification."""


@dataclass(frozen=True, slots=True)
class Record:
    """The files and targets of one image.

    Attributes:
        id: name, unique in the data set.
        image: the image file.
        label: class index, -100 if unknown.
        masks: the mask files of each mask channel; () is an empty mask, None an unknown one.
        group: name of its group, whose rows stay in one split; empty if it has none.
        split: the published split; empty if there is none.
        findings: 0, 1 or 255 (unknown) each.
        columns: numbers, nan where unknown.
        place: the row of the table that it comes from, for messages.
        spacing: height and width of a pixel of the image in millimetres, nan if they are unknown; None: as its file
            states them.
        hidden: whether messages and pages name it by its id, and not by its file.
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
    spacing: Spacing | None = None
    hidden: bool = False

    @property
    def shown(self) -> str:
        """What messages and pages name it by."""
        return self.id if self.hidden else str(self.image)

    @property
    def files(self) -> list[Path]:
        """The image and its masks."""
        return [self.image, *(path for channel in self.masks for path in channel or ())]


@dataclass(frozen=True)
class Decoded:
    """Records and their decoded files, in the same order.

    Attributes:
        records: the usable records.
        pixels: `images` and `masks`, in memory or not.
        in_memory: whether splits hold their pixels in memory.
        arrays: grey `thumbnails`, the state of the masks (`masked`), and whether images are `coloured`, `deep` (of more
            than 8 bits), `transparent`, or `turned` (by another orientation tag than a mask of theirs); the `spacing`
            that files state (height and width of a pixel in mm, nan if they do not), and their `extent` (height and
            width in pixels).
        fingerprint: SHA-256 of the names and bytes of all files used.
        decoder: what decoded them.
        whole: the whole images, if random squares are cut from them.
    """

    records: tuple[Record, ...]
    pixels: Mapping[str, Tensor]
    in_memory: bool
    arrays: Arrays
    fingerprint: str
    decoder: "Decoder"
    whole: WholeFiles | None = None

    def file_masks(self) -> dict[str, FileMasks]:
        """The masks of each record at the size of its file, by id; empty if the data set has no masks."""
        if not self.decoder.mask_depth:
            return {}
        return {
            record.id: FileMasks(place, record.masks, self.decoder.values, record.image)
            for record, place in zip(self.records, self.placements(), strict=True)
        }

    def placements(self) -> list[Placement]:
        """Where the pixels of each file lie in its square."""
        return [
            Placement(self.decoder.fit, height, width, self.decoder.size)
            for height, width in self.arrays["extent"].astype(int).tolist()
        ]

    def samples(
        self,
        rows: NDArray[np.int64],
        groups: Sequence[str],
        targets: Targets,
        levels: Levels | None = None,
        spacing: NDArray[np.float32] | None = None,
    ) -> Samples:
        """Returns some of the rows as a split.

        Args:
            rows: indices of the rows.
            groups: group of each row of the data set; empty if there are no groups.
            targets: the targets of the data set.
            levels: black and white of the images with more than 8 bits; None if the data set has none.
            spacing: (N, 2) of all its images, see `settle_spacing`; None if it is unknown.
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
            levels=None if levels is None else torch.tensor([levels if deep else BYTE for deep in self.deep[rows]]),
            spacing=None if spacing is None else torch.from_numpy(spacing[rows]),
            whole=None if self.whole is None else Whole((self.whole,), _second(index), self.decoder.size),
        )

    @property
    def deep(self) -> NDArray[np.bool_]:
        """(N,) whether an image has more than 8 bits."""
        return self.arrays["deep"] > 0

    def files(self, fact: str) -> list[str]:
        """The image files of which a fact among `arrays` holds."""
        return [record.shown for record, holds in zip(self.records, self.arrays[fact], strict=True) if holds]


@dataclass(frozen=True)
class Decoder:
    """Decodes files into arrays.

    Attributes:
        size: side of the square images in pixels, 8 to 4096.
        channels: 1 for grey, 3 for RGB.
        mask_depth: channels of a mask.
        values: meaning of the mask values; None for 0 and 1 or 255.
        options: how files become pixels.
        thumbnails: whether to make grey thumbnails, which the search for near-duplicates needs.
        fit: how images of any aspect ratio become squares, see `tandem.data.files.placement`.
        crops: how squares are drawn in training; None: they are those of `fit`.

    Raises:
        ConfigError: a value out of range.
    """

    size: int
    channels: int
    mask_depth: int = 1
    values: MaskValues | None = None
    options: ReadOptions = PLAIN
    thumbnails: bool = True
    fit: str = field(default="squash", repr=False)
    crops: Crops | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Checks the options before any file is read."""
        check_fit(self.fit)
        if type(self.size) is not int or not 8 <= self.size <= 4096:
            raise ConfigError(f"data.size is {self.size!r}, but must be a whole number of pixels from 8 to 4096")
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise ConfigError(f"data.channels is {self.channels!r}, but must be 1 (grey) or 3 (RGB)")

    def read(self, records: Sequence[Record], root: Path, name: str, storage: Storage, faults: Faults) -> Decoded:
        """Decodes all records, or reads them from the disk cache; leaves out and reports records that cannot be used.

        Args:
            records: the rows.
            root: the folder that file names are relative to.
            name: name of the data set, for the cache file.
            storage: where decoded images are kept.
            faults: gets a line for each record that cannot be used.
        """
        import PIL

        present, fingerprint = fingerprint_of(records, root, faults, cache_folder(storage.cache))
        recipe = f"{fingerprint}|{structure_of(present, root)}|{self}|{DECODER}|{PIL.__version__}"
        recipe += "" if self.fit == "squash" else f"|{self.fit}"  # not in the text of `self`: older caches stay valid
        path = cache_folder(storage.cache) / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()}.npz"
        shapes = self.shapes(len(present))
        stored, limit = fetch(path, shapes, partial(self.parts, present)), storage.limit
        width = (stored["images"].dtype if stored else self.dtype(present)).itemsize
        need = sum(int(np.prod(shapes[key])) * (width if key == "images" else 1) for key in PIXELS)
        fits, shared = need <= limit, stored is not None and shares_machine()
        kept, arrays = _split(stored, release=not fits) if stored else self._without_cache(present, in_memory=fits)
        in_memory, by = fits and not shared, " by the processes of this machine together" if shared else ""
        where = "kept in memory" if in_memory else f"read from {path}{by}" if stored else "DECODED FOR EACH BATCH: slow"
        log.info(
            "data %s: %d images, %.3g GB decoded, %s (data.memory_gb is %.3g)",
            name, len(present), need / 1e9, where, limit / 1e9,
        )  # fmt: skip
        for row in np.flatnonzero(arrays["usable"] == 0).tolist():
            if fault := self._decode_row(self._empty(1, BYTES), 0, present[row]):
                faults.add(fault, present[row].place)
        usable = np.flatnonzero(arrays["usable"])
        if len(usable) < len(present):
            kept = {key: pick(part, torch.from_numpy(usable)) for key, part in kept.items()}
            arrays = {key: array[usable] for key, array in arrays.items()}
        used = tuple(present[row] for row in usable)
        whole = WholeFiles(self, used, arrays["extent"].astype(np.int64), path, limit) if self.crops else None
        return Decoded(used, kept, in_memory, arrays, fingerprint, self, whole)

    def _without_cache(self, records: Sequence[Record], in_memory: bool) -> tuple[dict[str, Tensor], Arrays]:
        """Returns pixels and other arrays when nothing can be stored on disk."""
        states = {path: _seen(path) for record in records for path in record.files}
        names = [name for name in self.shapes(0) if in_memory or name not in PIXELS]
        parts = [{name: part[name] for name in names} for part in self.parts(records)]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in names}
        if in_memory:
            return {name: torch.from_numpy(arrays.pop(name)) for name in PIXELS}, arrays

        dtype = self.dtype(records)

        def again(name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
            return self._decode_again([records[row] for row in rows], states, dtype)[name]

        rows, empty = np.arange(len(records)), self._empty(0, dtype)
        found = {
            name: as_tensor(
                Redecoded(partial(again, name), rows, empty[name].shape[1:], torch.from_numpy(empty[name]).dtype)
            )
            for name in PIXELS
        }
        return found, arrays

    def dtype(self, records: Sequence[Record]) -> np.dtype[Any]:
        """The dtype that holds the levels of all images, by the headers of their files."""
        return np.result_type(np.uint8, *{dtype_of(record.image, self.options) for record in records})

    def shapes(self, count: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays that `decode` returns for `count` records."""
        return {
            "images": (count, self.channels, self.size, self.size),
            "masks": (count, self.mask_depth, self.size, self.size),
            "thumbnails": (count, THUMBNAIL, THUMBNAIL) if self.thumbnails else (count, 0, 0),
            "masked": (count,),
            **dict.fromkeys(("coloured", "deep", "transparent", "turned", "usable"), (count,)),
            **dict.fromkeys(SIZES, (count, 2)),
        }

    def decode(self, records: Sequence[Record], dtype: np.dtype[Any]) -> Arrays:
        """Decodes images and masks; rows that are not `usable` stay 0.

        Thumbnails and the state of the masks come from the files at full size, so that neither groups nor splits depend
        on `size`.
        """
        arrays = self._empty(len(records), dtype)
        for row, record in enumerate(records):
            self._decode_row(arrays, row, record)
        return arrays

    def _decode_again(
        self, records: Sequence[Record], states: Mapping[Path, tuple[int, int] | None], dtype: np.dtype[Any]
    ) -> Arrays:
        """Decodes rows that were usable at the start.

        Raises:
            DataError: a file has changed, or cannot be read any more; training on it would give other numbers.
        """
        found = self.decode(records, dtype)
        for record, usable in zip(records, found["usable"], strict=True):
            for path in record.files:
                if _seen(path) != states[path]:
                    what = "changed" if path.exists() else "was removed"
                    raise DataError(f"{str(path)!r} {what} while the data were in use: restore it, and rerun to resume")
            if not usable and (fault := self._decode_row(self._empty(1, dtype), 0, record)):
                raise DataError(f"{fault} (it could be read when the data were first read)")
        return found

    def parts(self, records: Sequence[Record]) -> Iterator[Arrays]:
        """Yields what `decode` returns, some rows at a time; at least one part."""
        rows = rows_at_once((sum(int(np.prod(shape[1:])) for shape in self.shapes(1).values()),))
        dtype = self.dtype(records)
        for start in range(0, max(1, len(records)), rows):
            yield self.decode(records[start : start + rows], dtype)

    def _empty(self, count: int, dtype: np.dtype[Any]) -> Arrays:
        kinds = {"images": dtype, **dict.fromkeys(SIZES, np.dtype(np.float32))}
        return {name: np.zeros(shape, kinds.get(name, BYTES)) for name, shape in self.shapes(count).items()}

    def _decode_row(self, arrays: Arrays, row: int, record: Record) -> str | None:
        """Fills in a row; returns None, or the reason why the record cannot be used."""
        try:
            image = read_raster(record.image, self.options)
            masks, masked, turned = self._masks(record, image)
        except DataError as error:
            return str(error)
        arrays["images"][row] = fit(image, self.size, self.channels, self.fit)
        if self.thumbnails:
            arrays["thumbnails"][row] = byte_view(fit(image, THUMBNAIL, 1)[0])
        arrays["masks"][row] = masks
        facts = {"masked": masked, "turned": turned, "coloured": image.coloured, "deep": image.deep}
        for name, fact in {**facts, "transparent": image.transparent, "usable": 1}.items():
            arrays[name][row] = fact
        arrays["spacing"][row], arrays["extent"][row] = image.spacing or UNKNOWN, image.pixels.shape[:2]
        return None

    def _masks(self, record: Record, image: Raster) -> tuple[NDArray[np.uint8], int, bool]:
        """Returns the masks, (K, size, size), their state, and whether one has another orientation tag."""
        masks = np.full((self.mask_depth, self.size, self.size), MISSING_PIXEL, dtype=np.uint8)
        masked, turned = NO_MASK, False
        for channel, paths in enumerate(record.masks):
            if paths is None:
                continue
            whole, tags = unite(paths, image.size, self.values, image.orientation)
            turned = turned or bool(tags - {image.orientation})
            masks[channel] = Placement(self.fit, whole.shape[0], whole.shape[1], self.size).mask(whole)
            filled = bool(((whole > 0) & (whole != MISSING_PIXEL)).any())
            masked = max(masked, FILLED_MASK if filled else EMPTY_MASK)
        return masks, masked, turned


def _second(index: Tensor) -> Tensor:
    """Rows of the first of several parts: (N, 2)."""
    return torch.stack([torch.zeros_like(index), index], 1)


def _seen(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change of a file; None if it is absent."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _split(stored: Mapping[str, Mapped], release: bool) -> tuple[dict[str, Tensor], Arrays]:
    """Separates the pixels, which stay on disk, from the other arrays, which are read into memory."""
    for array in stored.values():
        array.release = release
    small = {name: array[...].numpy() for name, array in stored.items() if name not in PIXELS}
    return {name: as_tensor(stored[name]) for name in PIXELS}, small
