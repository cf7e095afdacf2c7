"""Which rows train, validate and test: the division, and its file."""

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
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
    """The shares of `train`, `val` and `test`, in this order.

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
    r"""Divides rows so that no group straddles two splits and each split has its share of every class.

    Groups are taken largest first, those of equal size in an order drawn from the seed; each goes where it raises
    \(\sum_{s,c} (n_{sc} - t_{sc})^2 / t_{sc}\) least, where \(n_{sc}\) counts the rows of class c in split s and
    \(t_{sc}\) is the count that the fractions ask for; rows of one class with and without a mask count apart. Rows that
    stand alone come last and even out what the groups left, so that counts are met to about a row; the folds of
    `StratifiedGroupKFold` are of one size, and shares put together from them are coarser. The draw is a hash of seed
    and group name, so the division does not depend on the order of rows.

    Args:
        labels: (N,) class indices; -100 (unknown) is divided like a class of its own, but need not be in every split.
        groups: N names; rows of one name stay together. Pass the ids where rows stand alone.
        fractions: the share of each split, above 0, together 1.
        seed: any integer.
        classes: names of the classes for errors; if given, each of them must occur.
        masked: (N,) whole numbers from 0 that tell apart rows without a mask, with an empty and with a filled one;
            every split gets its share of these too, within each class.

    Returns:
        For each split of `fractions` its rows, ascending; every row is in exactly one.

    Raises:
        DataError: a class that is missing from a split.
    """
    kinds = np.zeros(len(groups), dtype=np.int64) if masked is None else np.asarray(masked, dtype=np.int64)
    strata, stratum = np.unique(np.stack([np.asarray(labels), kinds], axis=1), axis=0, return_inverse=True)
    stratum = stratum.reshape(-1)
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((len(names), len(strata)))
    np.add.at(counts, (member, stratum), 1)
    target = np.array(list(fractions.values()))[:, None] * counts.sum(0)
    placed = np.zeros_like(target)
    home = np.zeros(len(names), dtype=np.int64)
    draw = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names.tolist()]
    for group in sorted(range(len(names)), key=lambda g: (-counts[g].sum(), draw[g])):
        rise = (counts[group] * (placed + counts[group] / 2) / target).sum(1)  # halved, less what all splits share
        home[group] = rise.argmin()
        placed[home[group]] += counts[group]
    columns = {int(label): strata[:, 0] == label for label in np.unique(strata[:, 0])}
    held = {label: placed[:, where].sum(1) for label, where in columns.items()}
    sizes = {label: int((counts[:, where] > 0).any(1).sum()) for label, where in columns.items()}
    _check_present(held, sizes, list(fractions), classes)
    return {split: np.flatnonzero(home[member] == index) for index, split in enumerate(fractions)}


def _check_present(
    held: Mapping[int, NDArray[np.float64]], groups: Mapping[int, int], splits: Sequence[str], classes: Sequence[str]
) -> None:
    """Refuses a class without a row in some split; a metric over it would be nan."""
    for label in sorted({*held, *range(len(classes))} - {MISSING_LABEL}):
        name = repr(classes[label]) if 0 <= label < len(classes) else str(label)
        if label not in held:
            raise DataError(f"class {name} has no picture at all: add some, or choose others with data.subset")
        if absent := [split for split, rows in zip(splits, held[label], strict=True) if rows == 0]:
            named = " and ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
            raise DataError(
                f"class {name} is missing from split {named}, with {held[label].sum():.0f} pictures in "
                f"{groups[label]} groups: add pictures, {_larger(absent[0])} or change data.split_seed"
            )


def _larger(split: str) -> str:
    return f"raise data.fractions.{split}" if split in SPLITS else "lower data.folds"


def write_splits(path: Path, samples_by_split: Mapping[str, Samples], classes: Sequence[str]) -> None:
    """Writes which row is in which split as csv with the columns `id,split,class,group`.

    The file replaces an older one at once, so a reader never sees half of it.

    Args:
        path: the file; its folder is made where it is missing.
        samples_by_split: the splits, as a source loads them.
        classes: names of the classes. The cell of an unknown class is empty, and so is that of a group where rows
            stand alone.

    Raises:
        DataError: an id in two places.
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
    """The split of each id, from a file that `write_splits` wrote, or any other with the columns `id,split`.

    Raises:
        DataError: a file that cannot be read, missing columns; all rows with an unknown split, or an id that is empty
            or occurs twice.
    """
    split_of: dict[str, str] = {}
    faults = []
    rows = read_table(path, COLUMNS[:2])
    for entry in rows:
        name, split = from_cell(entry["id"]), entry["split"]
        if split not in SPLITS:
            faults.append(f"{str(path)!r} puts {name!r} in split {split!r}, but only {', '.join(SPLITS)} exist")
        if not name or name in split_of:
            faults.append(f"{str(path)!r} lists the id {name!r} twice or empty: each row needs an id of its own")
        split_of[name] = split
    refuse(faults, len(rows), "rows")
    return split_of


def read_table(path: Path, columns: Sequence[str], delimiter: str = ",", mend: str = "") -> list[dict[str, str]]:
    """The rows of a csv file as text, checked against the columns that must be there.

    Args:
        path: a UTF-8 file, with or without a byte order mark; blank lines are skipped.
        columns: names that the first line must hold; others may stand beside them.
        delimiter: one character between the cells.
        mend: what to do about a missing column; empty: write it into the file.

    Raises:
        DataError: a file that cannot be read, that lacks a column, or has a row with too few or too many cells.
    """
    check_regular(path)
    name = repr(str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            header = list(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise DataError(f"table {name} cannot be read ({error.strerror}): give the path of a csv file") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"table {name} is not a csv file in UTF-8 ({error}): save it as one") from error
    if absent := [column for column in columns if column not in header]:
        found = delimiter.join(header)[:80]
        mend = mend or f"begin it with {delimiter.join(columns)!r}"
        raise DataError(f"table {name} lacks the column {', '.join(absent)}: {mend}, not {found!r}")
    ragged = [number for number, row in enumerate(rows, start=1) if None in row or None in row.values()]
    faults = [f"table {name}, row {row} below the header, has not {len(header)} cells: mend this row" for row in ragged]
    refuse(faults, len(rows), "rows")
    return rows
