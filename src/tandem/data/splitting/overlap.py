"""Images that are in two splits: the same file, the same content under another name, or the same group."""

import hashlib
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.faults import FaultyDataError
from tandem.data.files.records import Record
from tandem.data.samples import SPLITS
from tandem.data.splitting.split_spec import SplitSpec

log = logging.getLogger(__name__)

FILE, CONTENT, GROUP = "file", "content", "group"
"""Why two images must not be in different splits: one file, two files with the same bytes, one group."""

PART = 4096
"""Bytes at the beginning and end of files of equal size that are compared before whole files are."""

Splits = tuple[str, str]


@dataclass(frozen=True)
class Overlap:
    """Two images in different splits that belong together.

    Attributes:
        reason: `FILE`, `CONTENT` or `GROUP`.
        one: id of the first.
        other: id of the second.
        splits: their splits.
        group: the group of both; empty for other reasons.
    """

    reason: str
    one: str
    other: str
    splits: Splits
    group: str = ""

    def __str__(self) -> str:
        """One line for a message."""
        same = {
            FILE: "are the same file",
            CONTENT: "have the same content",
            GROUP: f"are of the same group {self.group!r}",
        }
        one, other = f"{self.one!r} in {self.splits[0]}", f"{self.other!r} in {self.splits[1]}"
        return f"{one} and {other} {same[self.reason]}"


def check_overlap(
    name: str,
    records: Sequence[Record],
    rows: Mapping[str, NDArray[np.int64]],
    division: SplitSpec,
    published: Iterable[str],
    allowed: bool,
    apart: str = "near_duplicates=true",
) -> list[Overlap]:
    """Finds images that are in two splits; refuses them where the splits were given, by a file or as published.

    Where tandem draws a split, groups stay together, and near-duplicates too unless `data.near_duplicates` says
    otherwise, so there a warning says what was chosen.

    Args:
        name: the data set.
        records: its rows.
        rows: the row indices of each split.
        division: the options of the split.
        published: names of the splits of the rows as published; empty if there are none, or if they are not used.
        allowed: whether to go on with a warning (`data.allow_overlap`).
        apart: the option of the data set that keeps near-duplicates in one split when it is drawn.

    Returns:
        The pairs: each image with the first one that it belongs together with in another split.

    Raises:
        FaultyDataError: lists the pairs.
    """
    found = find_overlap(records, {split: part.tolist() for split, part in rows.items()})
    published = set(published)
    given = set(_given(division, published))
    refused = [pair for pair in found if pair.splits in given]
    if refused and not allowed:
        draw = "fix data.split_file" if division.file else "draw new splits with data.resplit=true"
        fix = f"{draw}, or go on with data.allow_overlap=true"
        head = f"{len(refused)} pairs of images that belong together are in different splits ({fix})"
        lines = [str(pair) for pair in refused]
        raise FaultyDataError(lines if len(lines) > 1 else [f"{lines[0]}: {fix}"], len(records), head=head)
    if found:
        fix = "" if refused or published else f"; data.{apart} keeps them in one split"
        log.warning(
            "data %s: images that belong together are in different splits (%d pairs), so metrics are too good; the "
            "first: %s%s", name, len(found), found[0], fix,
        )  # fmt: skip
    return found


def _given(division: SplitSpec, published: set[str]) -> Iterator[Splits]:
    """The pairs of splits that a file or the data set tells apart; a drawn validation split is not among them."""
    if division.file is None and (division.folds is not None or not published):
        return
    drawn = division.file is None and "val" not in published
    yield from (pair for pair in combinations(SPLITS, 2) if "test" in pair or not drawn)


def find_overlap(records: Sequence[Record], rows: Mapping[str, Sequence[int]]) -> list[Overlap]:
    """Pairs images of different splits that are one file, have the same bytes or are of one group.

    Args:
        records: the rows.
        rows: the row indices of each split.
    """
    found: dict[tuple[str, str], Overlap] = {}
    for reason, key_of in ((FILE, _path), (CONTENT, _content(records, rows)), (GROUP, _group)):
        first: dict[Hashable, dict[str, int]] = {}
        for split in SPLITS:
            for row in rows.get(split, ()):
                if (key := key_of(records[row])) is not None:
                    _pair(found, reason, records, first.setdefault(key, {}), split, row)
    return list(found.values())


def _pair(
    found: dict[tuple[str, str], Overlap], reason: str, records: Sequence[Record], first: dict[str, int], split: str,
    row: int,
) -> None:  # fmt: skip
    """Adds the pairs of a row with the first rows of the same key in other splits; of a group, one for each pair."""
    if reason == GROUP and split in first:
        return
    for other, earlier in first.items():
        if other != split:
            ids = (records[earlier].id, records[row].id)
            group = records[row].group if reason == GROUP else ""
            found.setdefault(ids, Overlap(reason, *ids, (other, split), group))
    first.setdefault(split, row)


def _path(record: Record) -> Hashable:
    return record.image


def _group(record: Record) -> Hashable:
    return record.group or None


def _content(records: Sequence[Record], rows: Mapping[str, Sequence[int]]) -> Callable[[Record], Hashable]:
    """A key that is equal for files with equal bytes; None for a file that no other file is equal to.

    Only files of equal size are opened, and only those whose ends agree too are read.
    """
    paths = list({records[row].image: None for part in rows.values() for row in part})
    keys: dict[Path, Hashable] = dict.fromkeys(paths)
    for key_of in (_size, _ends, _digest):
        groups: dict[Hashable, list[Path]] = {}
        for path in paths:
            try:
                groups.setdefault((keys[path], key_of(path)), []).append(path)
            except OSError:  # changed since it was read
                continue
        keys = {path: key for key, members in groups.items() if len(members) > 1 for path in members}
        paths = list(keys)
    return lambda record: keys.get(record.image)


def _size(path: Path) -> int:
    return path.stat().st_size


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(PART)
        if len(start) < PART:  # that was the whole file
            return hashlib.sha256(start).digest()
        file.seek(max(0, path.stat().st_size - PART))
        return hashlib.sha256(start + file.read(PART)).digest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def as_notes(found: Iterable[Overlap]) -> list[dict[str, Any]]:
    """Plain containers, for a run's files."""
    return [asdict(pair) for pair in found]
