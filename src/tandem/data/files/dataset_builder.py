"""From rows of files to splits: what all data sets that consist of picture files share."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tandem.data.files.faults import Faults, FaultyDataError
from tandem.data.files.records import Decoded, Decoder, Record
from tandem.data.loading.storage import Storage
from tandem.data.samples import Samples
from tandem.data.splitting.duplicates import group_names, join, near_duplicate_groups
from tandem.data.splitting.split_spec import SplitSpec
from tandem.data.targets import Targets
from tandem.errors import ConfigError

log = logging.getLogger(__name__)

MANY = 20_000
"""Pictures above which `auto` does not look for near-duplicates: about a minute's work, growing with the square."""


@dataclass(frozen=True)
class FileDatasetBuilder:
    """How records become splits.

    Attributes:
        name: of the data set.
        targets: what its rows carry.
        decoder: how files are read.
        division: how rows are divided.
        resplit: whether a division that the data set brings is disregarded.
        near_duplicates: whether pictures that look alike are kept in one split; only where rows are divided here, since
            a published division is what it is. `auto` looks for them among up to `MANY` pictures.
        storage: where decoded pictures are kept.
    """

    name: str
    targets: Targets
    decoder: Decoder
    division: SplitSpec
    resplit: bool
    near_duplicates: bool | str
    storage: Storage

    def __post_init__(self) -> None:
        """Refuses what means nothing."""
        if self.near_duplicates not in (True, False, "auto"):
            raise ConfigError(f"data.near_duplicates is {self.near_duplicates!r}, but must be true, false or auto")

    def read(
        self, records: Sequence[Record], classes: Sequence[str], root: Path, faults: Faults
    ) -> tuple[dict[str, Samples], str]:
        """The splits, and the SHA-256 over all files used.

        Args:
            records: the rows.
            classes: names of the classes.
            root: the folder that the files are below.
            faults: with what was found wrong so far; settled here, once the files were decoded.

        Raises:
            DataError: faults that are not skipped, no row left, a division that cannot be made.
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
            [record.id for record in kept],
            [record.label for record in kept],
            groups,
            classes,
            decoded.arrays["masked"].tolist(),
            published,
            left_out=bool(faults.found),
        )
        shown = groups if len(set(groups)) < len(groups) else ()
        return {
            split: decoded.samples(rows, shown, self.targets) for split, rows in rows_of.items()
        }, decoded.fingerprint

    def _looks_for_duplicates(self, records: Sequence[Record]) -> bool:
        """Whether rows are divided here, and pictures that look alike must be found for it."""
        published = not self.resplit and any(record.split for record in records)
        drawn = self.division.file is None and not (published and self.division.folds is None)
        if drawn and self.near_duplicates == "auto" and len(records) > MANY:
            log.warning(
                "data %s: near-duplicates are not looked for among %d pictures (more than %d take long): set "
                "data.near_duplicates=true to do it all the same, or false", self.name, len(records), MANY,
            )  # fmt: skip
            return False
        return drawn and bool(self.near_duplicates)

    def _groups(self, decoded: Decoded, looked_for: bool) -> tuple[str, ...]:
        """The group of each row: its own, joined with those that hold a picture like one of its own."""
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
            log.info("%s: %d pictures in %d groups of near-duplicates", self.name, len(ids), len(leaders))
        return group_names(join(len(ids), pairs), ids)
