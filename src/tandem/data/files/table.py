"""Data sets listed in a table: a csv or Parquet file with a row for each picture."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.faults import Faults
from tandem.data.files.rows import ImageRow, split_name
from tandem.data.splitting.splits import read_table
from tandem.errors import ConfigError, DataError

PARQUET = (".parquet", ".pq")
DELIMITERS = (",", ";", "\t")
PATH_SEPARATOR = "|"

Cells = Mapping[str, str]


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds what; None or nothing where there is none.

    Attributes:
        image: path of the picture, from the root.
        id: name of the row; None for the picture's path without its ending.
        label: name of the class; several columns are one-hot, one for each class.
        masks: paths of the masks, from the root, for each mask channel by name; several paths in a cell are separated
            by `|`.
        group: whose members stay in one split.
        split: `train`, `val` or `test`.
        findings: yes/no questions about the picture, 0 or 1.
        numbers: to be predicted by regression.
    """

    image: str
    id: str | None
    label: str | Sequence[str] | None
    masks: Mapping[str, str]
    group: str | None
    split: str | None
    findings: Sequence[str]
    numbers: Sequence[str]

    @property
    def needed(self) -> list[str]:
        """Every column that must be there."""
        labels = [self.label] if isinstance(self.label, str) else list(self.label or ())
        named = [self.image, self.id, *labels, *self.masks.values(), self.group, self.split]
        return [name for name in (*named, *self.findings, *self.numbers) if name]


KEYS = ("image", "id", "label", "masks", "group", "split", "findings", "numbers")


def read_columns(given: Mapping[str, Any], channel: str) -> Columns:
    """Reads the setting `data.columns`.

    Args:
        given: names of columns by what they hold.
        channel: name of the mask channel, where `masks` is a single column.

    Raises:
        ConfigError: an unknown key, no `image`.
    """
    if unknown := sorted(given.keys() - set(KEYS)):
        raise ConfigError(f"data.columns has no '{unknown[0]}'; there are: {', '.join(KEYS)}")
    if not given.get("image"):
        raise ConfigError("data.columns.image has no value; name the column with the paths of the pictures")
    masks = given.get("masks") or {}
    return Columns(
        image=str(given["image"]),
        id=given.get("id"),
        label=given.get("label") or None,
        masks={channel: masks} if isinstance(masks, str) else dict(masks),
        group=given.get("group"),
        split=given.get("split"),
        findings=tuple(given.get("findings") or ()),
        numbers=tuple(given.get("numbers") or ()),
    )


@dataclass(frozen=True)
class SourceTable:
    """A table below the root.

    Attributes:
        file: its path from the root, csv (separated by comma, semicolon or tab) or Parquet.
        columns: which of its columns hold what.
    """

    file: str
    columns: Columns

    def rows(self, root: Path, faults: Faults) -> list[ImageRow]:
        """A row for each usable line, in their order.

        Args:
            root: the folder that paths are relative to.
            faults: gets a line for each that cannot be used.

        Raises:
            DataError: a table that cannot be read, lacks a column or has no rows.
        """
        path = root / self.file
        found = read_any(path, self.columns.needed)
        if not found:
            raise DataError(f"table {str(path)!r} has no rows: list the pictures in it")
        rows: dict[str, ImageRow] = {}
        for number, cells in enumerate(found, start=1):
            place = f"{str(path)!r}, row {number}"
            try:
                row = self._row(cells, root, place)
            except DataError as error:
                faults.add(str(error), place)
                continue
            if row.id in rows:
                faults.add(f"the id {row.id!r} stands in {rows[row.id].place} already: ids must be unique", place)
            else:
                rows[row.id] = row
        return list(rows.values())

    def _row(self, cells: Cells, root: Path, place: str) -> ImageRow:
        columns = self.columns
        image = cells[columns.image].strip()
        if not image:
            raise DataError(f"{columns.image} is empty: give the path of the picture")
        name = cells[columns.id].strip() if columns.id else image.removesuffix(Path(image).suffix)
        if not name:
            raise DataError(f"{columns.id} is empty: each row needs an id of its own")
        split = ""
        if columns.split and not (split := split_name(text := cells[columns.split].strip())):
            raise DataError(f"{columns.split} is {text!r}: use train, val or test")
        return ImageRow(
            id=name,
            image=inside(root, image),
            masks=tuple(self._masks(cells[name], root) for name in columns.masks.values()),
            label=intern(self._label(cells)),  # names that many rows have are kept once
            group=intern(cells[columns.group].strip()) if columns.group else "",
            split=split,
            findings=tuple(_finding(name, cells[name].strip()) for name in columns.findings),
            columns=tuple(_number(name, cells[name].strip()) for name in columns.numbers),
            place=place,
        )

    def _masks(self, cell: str, root: Path) -> tuple[Path, ...]:
        return tuple(inside(root, part.strip()) for part in cell.split(PATH_SEPARATOR) if part.strip())

    def _label(self, cells: Cells) -> str:
        label = self.columns.label
        if label is None:
            return ""
        if isinstance(label, str):
            return cells[label].strip()
        values = {name: _finding(name, cells[name].strip()) for name in label}
        if all(value == MISSING_PIXEL for value in values.values()):
            return ""
        chosen = [name for name, value in values.items() if value == 1]
        if len(chosen) != 1:
            said = " and ".join(chosen) or "none"
            raise DataError(f"of the classes {', '.join(label)}, {said} is 1: exactly one must be")
        return chosen[0]


NAME_COLUMNS = "name columns that it has, such as data.columns.label=..."


def read_any(path: Path, needed: Sequence[str]) -> Sequence[Cells]:
    """The rows of a csv or Parquet file as text.

    Args:
        path: the file; a csv file may be separated by comma, semicolon or tab.
        needed: columns that must be there.

    Raises:
        DataError: a file that cannot be read, or lacks a column.
        ConfigError: pyarrow is needed and not installed.
    """
    if path.suffix.lower() in PARQUET:
        return _read_parquet(path, needed)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
    except (OSError, UnicodeDecodeError):
        header = ""  # told of below
    delimiter = max(DELIMITERS, key=lambda mark: (needed[0] in header.strip().split(mark), header.count(mark)))
    return read_table(path, needed, delimiter, mend=NAME_COLUMNS)


def _read_parquet(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ConfigError(f"{str(path)!r} needs pyarrow; install it with: pip install tandem[parquet]") from error
    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        text = " ".join(str(error).split())[:120]
        raise DataError(f"table {str(path)!r} cannot be read ({text}): give the path of a Parquet file") from error
    absent = [column for column in needed if column not in table.column_names]
    if absent:
        found = ", ".join(table.column_names)[:80]
        raise DataError(f"table {str(path)!r} lacks the column {', '.join(absent)}: {NAME_COLUMNS}, not {found!r}")
    return [{name: _text(cell) for name, cell in row.items()} for row in table.select(needed).to_pylist()]


def _text(cell: Any) -> str:
    """A cell as a csv file would hold it; whole numbers that pandas made into floats are whole again."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def inside(root: Path, text: str) -> Path:
    """The file that a path in a table means, which must lie below the root, links followed.

    Args:
        root: the folder, resolved.
        text: relative to it, or absolute and below it.

    Raises:
        DataError: it leads out of the root.
    """
    path = root / Path(os.path.normpath(text.replace("\\", "/")))
    if not path.is_relative_to(root) or ".." in path.parts or not path.resolve().is_relative_to(root):
        raise DataError(f"the path {text!r} leads out of {str(root)!r}: put the file below data.root")
    return path


def _finding(name: str, cell: str) -> int:
    if cell == "":
        return MISSING_PIXEL
    if cell in ("0", "0.0", "1", "1.0"):
        return int(float(cell))
    raise DataError(f"{name} is {cell!r}: use 0 or 1, or nothing where it is unknown")


def _number(name: str, cell: str) -> float:
    try:
        number = float(cell or "nan")
    except ValueError as error:
        raise DataError(f"{name} is {cell!r}: use a number, or nothing where it is unknown") from error
    if math.isinf(number):
        raise DataError(f"{name} is {cell!r}: use a finite number, or nothing where it is unknown")
    return number
