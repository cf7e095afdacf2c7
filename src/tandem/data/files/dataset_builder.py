"""Turns records of files into splits; shared by all data sets that consist of image files."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tandem.data.files.faults import Faults, FaultyDataError
from tandem.data.files.ids import Ids
from tandem.data.files.levels import settle_levels
from tandem.data.files.own_masks import FileMasks
from tandem.data.files.raster import Levels
from tandem.data.files.records import Decoded, Decoder, Record
from tandem.data.files.spacing import settle_spacing
from tandem.data.loading.storage import Storage
from tandem.data.samples import Samples
from tandem.data.splitting.duplicates import group_names, join, near_duplicate_groups
from tandem.data.splitting.overlap import Overlap, check_overlap
from tandem.data.splitting.split_spec import SplitSpec
from tandem.data.splitting.splits import read_splits
from tandem.data.targets import Targets
from tandem.errors import ConfigError

log = logging.getLogger(__name__)

MANY = 20_000
"""With `auto`, larger data sets are not searched for near-duplicates; it takes about a minute and grows as N^2."""


@dataclass(frozen=True)
class FileDataset:
    """A data set of files that has been read.

    Attributes:
        splits: its splits.
        fingerprint: SHA-256 of the names and bytes of all files used.
        levels: black and white of its images of more than 8 bits; empty if it has none.
        overlap: images that belong together and are in different splits.
        file_masks: the masks of each image at the size of its file, by id.
    """

    splits: dict[str, Samples]
    fingerprint: str
    levels: tuple[Levels, ...]
    overlap: list[Overlap]
    file_masks: dict[str, FileMasks]


@dataclass(frozen=True)
class FileDatasetBuilder:
    """Decodes records and splits them.

    Attributes:
        name: name of the data set.
        targets: the targets of its rows.
        decoder: decodes the files.
        division: how rows are split.
        resplit: ignore the published split of the data set.
        near_duplicates: keep near-duplicates in one split; has no effect on a published split, which is used as it is.
            `auto` searches for them in data sets of up to `MANY` images.
        storage: where decoded images are kept.
        grey_range: levels that become black and white in images of more than 8 bits; None: see `robust_range`.
        allow_overlap: whether images that belong together may be in different published splits.
        ids: how images are named in what is written.
    """

    name: str
    targets: Targets
    decoder: Decoder
    division: SplitSpec
    resplit: bool
    near_duplicates: bool | str
    storage: Storage
    grey_range: Levels | None = None
    allow_overlap: bool = False
    ids: Ids = field(default_factory=Ids)

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.near_duplicates not in (True, False, "auto"):
            raise ConfigError(f"data.near_duplicates is {self.near_duplicates!r}, but must be true, false or auto")

    def read(self, records: Sequence[Record], classes: Sequence[str], root: Path, faults: Faults) -> FileDataset:
        """Returns the splits.

        Args:
            records: the rows.
            classes: names of the classes.
            root: the folder that contains the files.
            faults: the faults found so far; raised here, after decoding, unless faulty rows are skipped.

        Raises:
            DataError: there are faults that are not skipped, no row is left, the rows cannot be split as asked, or
                images that belong together are in different published splits.
        """
        looked_for = self._looks_for_duplicates(records)
        decoder = replace(self.decoder, thumbnails=looked_for)
        decoded = decoder.read(records, root, self.name, self.storage, faults)
        faults.settle(len(decoded.records) + len(faults.found))
        kept = decoded.records
        if not kept:
            raise FaultyDataError(faults.found, len(faults.found))
        published = () if self.resplit else tuple(record.split for record in kept if record.split)
        groups = self._groups(decoded, looked_for)
        rows_of = self.division.rows(
            self._names(kept),
            [record.label for record in kept],
            groups,
            classes,
            decoded.arrays["masked"].tolist(),
            published,
            left_out=bool(faults.found),
        )
        decoded = replace(decoded, records=(kept := self.ids.records(kept)))
        self._say_what_is_seen(decoded)
        overlap: list[Overlap] = []
        if not looked_for:  # otherwise near-duplicates, and so equal files, are in one split
            overlap = check_overlap(self.name, kept, rows_of, self.division, published, self.allow_overlap)
        shown = tuple(map(self.ids.of, groups)) if len(set(groups)) < len(groups) else ()
        levels = settle_levels(self.name, decoded, rows_of["train"], self.grey_range)
        spacing = settle_spacing(self.name, decoded)
        splits = {split: decoded.samples(rows, shown, self.targets, levels, spacing) for split, rows in rows_of.items()}
        return FileDataset(splits, decoded.fingerprint, (levels,) if levels else (), overlap, decoded.file_masks())

    def _say_what_is_seen(self, decoded: Decoded) -> None:
        """Logs what the squares leave out, since validation, and with it the choice of the epoch, sees no more."""
        shares = [place.seen for place in decoded.placements()]
        if min(shares) < 1:
            log.info(
                "data %s: with data.fit=%s and data.size=%d, the central square holds %.0f%% of an image's pixels "
                "(median; least %.0f%%); %s", self.name, decoded.decoder.fit, decoded.decoder.size,
                100 * np.median(shares), 100 * min(shares),
                "training sees the rest too, validation and test do not" if decoded.decoder.crops
                else "the rest is not seen unless data.crop=random shows it to training",
            )  # fmt: skip
        elif decoded.decoder.crops:
            log.warning(
                "data %s: data.crop=random changes nothing, since with data.fit=%s and data.size=%d no image is larger "
                "than its square", self.name, decoded.decoder.fit, decoded.decoder.size,
            )  # fmt: skip

    def _names(self, records: Sequence[Record]) -> list[str]:
        """The ids by which rows are split: plain ones, so that a drawn split is the same, or as a file lists them."""
        plain = [record.id for record in records]
        if not self.ids.hashed or self.division.file is None:
            return plain
        hashed = list(map(self.ids.of, plain))
        listed = read_splits(Path(self.division.file).expanduser())
        return hashed if any(name in listed for name in hashed) else plain

    def _looks_for_duplicates(self, records: Sequence[Record]) -> bool:
        """Whether rows are split here, so that near-duplicates have to be found first."""
        published = not self.resplit and any(record.split for record in records)
        drawn = self.division.file is None and not (published and self.division.folds is None)
        if drawn and self.near_duplicates == "auto" and len(records) > MANY:
            log.warning(
                "data %s: skipped the search for near-duplicates among %d images (more than %d take long): set "
                "data.near_duplicates=true to search anyway, or false", self.name, len(records), MANY,
            )  # fmt: skip
            return False
        return drawn and bool(self.near_duplicates)

    def _groups(self, decoded: Decoded, looked_for: bool) -> tuple[str, ...]:
        """Returns the group of each row: its own group, merged with the groups of its near-duplicates."""
        ids = [record.id for record in decoded.records]
        if not looked_for and not any(record.group for record in decoded.records):
            return tuple(ids)
        own = [record.group or f"\0{record.id}" for record in decoded.records]
        first = {name: row for row, name in reversed(list(enumerate(own)))}
        pairs = [(row, first[name]) for row, name in enumerate(own)]
        if looked_for:
            alike = near_duplicate_groups(decoded.arrays["thumbnails"])
            _, leaders = np.unique(alike, return_index=True)
            pairs += [(row, int(leaders[group])) for row, group in enumerate(alike)]
            log.info("%s: %d images in %d groups of near-duplicates", self.name, len(ids), len(leaders))
        return group_names(join(len(ids), pairs), ids)
