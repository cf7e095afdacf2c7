"""Assigns rows to train, val and test, and reads and writes the assignment as a file."""

import csv
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tandem.data.batch import MISSING_LABEL
from tandem.data.files.faults import refuse
from tandem.data.samples import SPLITS, Samples
from tandem.errors import ConfigError, DataError
from tandem.utils.files import check_regular, write_text
from tandem.utils.names import as_cell, from_cell

COLUMNS = ("id", "split", "class", "group")


def check_fractions(fractions: Mapping[str, float]) -> dict[str, float]:
    """Checks the shares of `train`, `val` and `test` and returns them in this order.

    Raises:
        ConfigError: other names, a share that is not above 0, or a sum other than 1.
    """
    numbers = all(isinstance(share, int | float) and not isinstance(share, bool) for share in fractions.values())
    if sorted(fractions) != sorted(SPLITS) or not numbers or not all(share > 0 for share in fractions.values()):
        raise ConfigError(f"data.fractions is {dict(fractions)}, but needs a share above 0 for each of {SPLITS}")
    if not math.isclose(total := math.fsum(fractions.values()), 1, abs_tol=1e-6):
        raise ConfigError(f"data.fractions add up to {total:g}, but must add up to 1")
    return {split: float(fractions[split]) for split in SPLITS}


def split_rows(
    labels: ArrayLike,
    groups: Sequence[str],
    fractions: Mapping[str, float],
    seed: int,
    classes: Sequence[str] = (),
    masked: ArrayLike | None = None,
) -> dict[str, NDArray[np.int64]]:
    r"""Splits rows so that each group is in one split only and each split gets its share of every class.

    A greedy algorithm assigns the largest groups first, groups of equal size in a random order that depends on the
    seed. Each group goes to the split where it increases \(\sum_{s,c} (n_{sc} - t_{sc})^2 / t_{sc}\) least, where
    \(n_{sc}\) counts the rows of stratum c in split s and \(t_{sc}\) is its target count from the fractions. A stratum
    is a class, further divided by the state of the masks. Rows without a group come last and even out the counts, so
    that targets are met to about one row. (`StratifiedGroupKFold` makes folds of equal size, and shares built from
    such folds are coarser.) The random order is a hash of the seed and the group's name, so the split does not depend
    on the order of rows.

    Args:
        labels: (N,) class indices; -100 (unknown) is treated as a class, but need not occur in every split.
        groups: N names; rows with the same name stay together. Pass the ids if there are no groups.
        fractions: the share of each split, above 0, summing to 1.
        seed: any integer.
        classes: names of the classes, for errors; if given, each of them must occur.
        masked: (N,) whole numbers from 0 that distinguish rows without a mask, with an empty one and with a filled one;
            every split gets its share of these too, within each class.

    Returns:
        The row indices of each split of `fractions`, ascending; every row is in exactly one split.

    Raises:
        DataError: a class is missing from a split.
    """
    kinds = np.zeros(len(groups), dtype=np.int64) if masked is None else np.asarray(masked, dtype=np.int64)
    strata, stratum = np.unique(np.stack([np.asarray(labels), kinds], axis=1), axis=0, return_inverse=True)
    stratum = stratum.reshape(-1)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    held = _group_counts(member, stratum, len(names), len(strata))
    shares = np.array(list(fractions.values()), dtype=np.float64)
    target = shares[:, None] * np.bincount(stratum, minlength=len(strata))
    home, placed = _assign(_order(names.tolist(), np.bincount(member), seed), held, target)
    columns = {int(label): strata[:, 0] == label for label in np.unique(strata[:, 0])}
    rows = {label: placed[:, where].sum(1) for label, where in columns.items()}
    sizes = {label: len(np.unique(held.group[where[held.stratum]])) for label, where in columns.items()}
    _check_present(rows, sizes, list(fractions), classes)
    return {split: np.flatnonzero(home[member] == index) for index, split in enumerate(fractions)}


@dataclass(frozen=True)
class _GroupCounts:
    """How many rows of each stratum each group has; only pairs that occur, since most groups have one stratum.

    Attributes:
        group: of each pair, ascending.
        stratum: of each pair.
        count: rows of each pair.
        start: the first pair of each group, and the number of pairs.
    """

    group: NDArray[np.int64]
    stratum: NDArray[np.int64]
    count: NDArray[np.int64]
    start: NDArray[np.int64]


def _group_counts(member: NDArray[np.int64], stratum: NDArray[np.int64], groups: int, strata: int) -> _GroupCounts:
    pairs, count = np.unique(member * strata + stratum, return_counts=True)
    group, column = np.divmod(pairs, strata)
    return _GroupCounts(group, column, count, np.searchsorted(group, np.arange(groups + 1)))


def _order(names: Sequence[str], sizes: NDArray[np.int64], seed: int) -> list[int]:
    """Places of groups: the largest first, those of one size by the hash of seed and name."""
    drawn = b"".join(hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names)
    words = np.frombuffer(drawn, dtype=">u8").reshape(-1, 4)
    order: list[int] = np.lexsort((*words.T[::-1], -sizes)).tolist()
    return order


def _assign(
    order: Sequence[int], held: _GroupCounts, target: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The split of each group, and the rows of each stratum in each split.

    A group with one stratum changes one term of the sum, which plain numbers give twenty times as fast as arrays do,
    and with the same bits.
    """
    home, placed = [0] * len(order), np.zeros_like(target)
    columns, targets = list(placed.T), target.T.tolist()
    start, strata, counts = held.start.tolist(), held.stratum.tolist(), held.count.astype(float).tolist()
    splits = range(len(target))
    for group in order:
        first, last = start[group], start[group + 1]
        if last - first == 1:
            stratum, count = strata[first], counts[first]
            now, want, half = columns[stratum].tolist(), targets[stratum], count / 2
            rise = [count * (now[split] + half) / want[split] for split in splits]
            best = rise.index(min(rise))
            columns[stratum][best] += count
        else:
            dense = np.zeros(target.shape[1])
            dense[strata[first:last]] = counts[first:last]
            best = int((dense * (placed + dense / 2) / target).sum(1).argmin())  # half of the rise, up to a constant
            placed[best] += dense
        home[group] = best
    return np.array(home, dtype=np.int64), placed


def _check_present(
    held: Mapping[int, NDArray[np.float64]], groups: Mapping[int, int], splits: Sequence[str], classes: Sequence[str]
) -> None:
    """Raises if a split lacks a class; a metric over it would be nan."""
    for label in sorted({*held, *range(len(classes))} - {MISSING_LABEL}):
        name = repr(classes[label]) if 0 <= label < len(classes) else str(label)
        if label not in held:
            raise DataError(f"class {name} has no images: add some, or choose other classes with data.subset")
        if absent := [split for split, rows in zip(splits, held[label], strict=True) if rows == 0]:
            named = " and ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
            raise DataError(
                f"class {name} is missing from split {named}, with {held[label].sum():.0f} images in "
                f"{groups[label]} groups: add images, {_larger(absent[0])} or change data.split_seed"
            )


def _larger(split: str) -> str:
    return f"raise data.fractions.{split}" if split in SPLITS else "lower data.folds"


def write_splits(path: Path, samples_by_split: Mapping[str, Samples], classes: Sequence[str]) -> None:
    """Writes the split of each row as a csv file with the columns `id,split,class,group`.

    The file is written atomically, so a reader never sees an incomplete one.

    Args:
        path: the file; its folder is created if it does not exist.
        samples_by_split: the splits, as a source loads them.
        classes: names of the classes. The cell of an unknown class is empty, and so is that of a group if there are
            none.

    Raises:
        DataError: an id occurs twice.
        OSError: the folder cannot be written.
    """
    seen: set[str] = set()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for split, samples in samples_by_split.items():
        groups = samples.groups or ("",) * len(samples)
        for name, label, group in zip(samples.ids, samples.labels.tolist(), groups, strict=True):
            if name in seen:
                raise DataError(f"id {name!r} occurs twice, the second time in split {split}: rename one of the two")
            seen.add(name)
            kind = "" if label == MISSING_LABEL else classes[label]
            writer.writerow((as_cell(name), split, as_cell(kind), as_cell(group)))
    write_text(path, text.getvalue())


def read_splits(path: Path) -> dict[str, str]:
    """Reads the split of each id from a file that `write_splits` wrote, or any other with the columns `id,split`.

    Raises:
        DataError: the file cannot be read or lacks a column; or rows have an unknown split, an empty id or an id that
            occurs twice (one error names them all).
    """
    split_of: dict[str, str] = {}
    faults = []
    rows = read_table(path, COLUMNS[:2])
    for entry in rows:
        name, split = from_cell(entry["id"]), entry["split"].strip()
        if split not in SPLITS:
            faults.append(f"{str(path)!r} puts {name!r} in split {split!r}, but only {', '.join(SPLITS)} exist")
        if not name or name in split_of:
            faults.append(f"{str(path)!r} lists the id {name!r} twice or empty: each row needs an id of its own")
        split_of[name] = split
    refuse(faults, len(rows), "rows")
    return split_of


def read_table(
    path: Path, columns: Sequence[str], delimiter: str = ",", fix: str = "", *, blanks: bool = False
) -> list[dict[str, str]]:
    """Reads the rows of a csv file as text and checks its columns.

    Args:
        path: a file in UTF-8, with or without a byte order mark, or in UTF-16 with one; blank lines are skipped, and so
            is a first line such as `sep=;`, which Excel writes.
        columns: names that the header must contain once; it may contain others. Blanks around names are ignored.
        delimiter: the character between cells.
        fix: advice for a missing column; by default, to add the header.
        blanks: whether blanks after a delimiter are ignored, also before a quote.

    Raises:
        DataError: the file cannot be read, lacks a column or has it twice, or has a row with too few or too many cells.
    """
    name = repr(str(path))
    text = read_text(path)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=blanks)
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise DataError(f"table {name} is not a csv file in UTF-8 ({error}): save it as one") from error
    header = [cell.strip() for cell in lines[0]] if lines else []
    if absent := [column for column in columns if column not in header]:
        found = delimiter.join(header)[:80]
        fix = fix or f"begin it with {delimiter.join(columns)!r}"
        raise DataError(f"table {name} lacks the column {', '.join(absent)}: {fix}, not {found!r}")
    check_once(path, columns, header)
    cells, rows = len(header), lines[1:]
    ragged = [number for number, row in enumerate(rows, start=1) if len(row) != cells]
    faults = [f"table {name}, row {row} below the header, does not have {cells} cells: fix this row" for row in ragged]
    refuse(faults, len(rows), "rows")
    return [dict(zip(header, row, strict=True)) for row in rows]


def check_once(path: Path, columns: Sequence[str], header: Sequence[str]) -> None:
    """Raises if a column that is needed occurs twice in the header of a table.

    Raises:
        DataError: names the column.
    """
    if twice := [column for column in columns if header.count(column) > 1]:
        count = header.count(twice[0])
        raise DataError(f"table {str(path)!r} has {count} columns named {twice[0]!r}: rename all but one of them")


def read_text(path: Path) -> str:
    """Reads a table as text, without a byte order mark and without a first line `sep=;`.

    Raises:
        DataError: the file cannot be read, or is not UTF-8 and not UTF-16 with a byte order mark.
    """
    check_regular(path)
    name = repr(str(path))
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except OSError as error:
        raise DataError(f"table {name} cannot be read ({error.strerror}): give the path of a csv file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"table {name} is not a csv file in UTF-8 ({error}): save it as one") from error
    return re.sub(r"\Asep=.(\r\n|\r|\n)", "", text)
