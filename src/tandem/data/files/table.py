"""Data sets listed in a table: a csv or Parquet file with a row for each image."""

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.faults import Faults
from tandem.data.files.file_state import names_below
from tandem.data.files.images import ENDINGS
from tandem.data.files.missing import MissingValues
from tandem.data.files.names import ending_of, nfc
from tandem.data.files.paths import Paths
from tandem.data.files.rows import ImageRow, split_name
from tandem.data.files.spacing import spacing_of
from tandem.data.files.unused import UNLISTED, Unused
from tandem.data.files.walk import walk
from tandem.data.splitting.splits import check_once, read_table, read_text
from tandem.errors import ConfigError, DataError
from tandem.utils.optional import how_to_install

PARQUET = (".parquet", ".pq")
DELIMITERS = (",", ";", "\t")
PATH_SEPARATOR = "|"

Cells = Mapping[str, str]


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their meaning; None or empty if the table lacks one.

    Attributes:
        image: path of the image, relative to the root.
        id: name of the row; None for the image's path without its suffix.
        label: name of the class; several columns are one-hot, one for each class.
        masks: paths of the masks, relative to the root, by the name of the mask channel; `|` separates several paths in
            one cell.
        group: name of the group, whose rows stay in one split.
        split: `train`, `val` or `test`.
        findings: yes/no questions about the image, 0 or 1.
        numbers: targets of regression.
        spacing: size of a pixel in millimetres, as one number or height and width; or a column for each.
    """

    image: str
    id: str | None
    label: str | Sequence[str] | None
    masks: Mapping[str, str]
    group: str | None
    split: str | None
    findings: Sequence[str]
    numbers: Sequence[str]
    spacing: Sequence[str] = ()

    @property
    def needed(self) -> list[str]:
        """All columns that the table must have."""
        labels = [self.label] if isinstance(self.label, str) else list(self.label or ())
        named = [self.image, self.id, *labels, *self.masks.values(), self.group, self.split]
        return [name for name in (*named, *self.findings, *self.numbers, *self.spacing) if name]


KEYS = ("image", "id", "label", "masks", "group", "split", "findings", "numbers", "spacing")


def read_columns(given: Mapping[str, Any], channel: str) -> Columns:
    """Reads the option `data.columns`.

    Args:
        given: names of columns by their meaning.
        channel: name of the mask channel, if `masks` is a single column.

    Raises:
        ConfigError: an unknown key, no `image`.
    """
    if unknown := sorted(given.keys() - set(KEYS)):
        raise ConfigError(f"data.columns has no key '{unknown[0]}'; its keys are: {', '.join(KEYS)}")
    if not given.get("image"):
        raise ConfigError("data.columns.image has no value; give the name of the column with the image paths")
    masks, spacing = given.get("masks") or {}, given.get("spacing") or ()
    return Columns(
        image=str(given["image"]),
        id=given.get("id"),
        label=given.get("label") or None,
        masks={channel: masks} if isinstance(masks, str) else dict(masks),
        group=given.get("group"),
        split=given.get("split"),
        findings=tuple(given.get("findings") or ()),
        numbers=tuple(given.get("numbers") or ()),
        spacing=(spacing,) if isinstance(spacing, str) else tuple(spacing),
    )


@dataclass(frozen=True)
class SourceTable:
    """A table below the root.

    Attributes:
        file: its path relative to the root, csv (separated by comma, semicolon or tab) or Parquet.
        columns: its columns by their meaning.
        missing: what a missing value looks like; counts them.
        unused: counts the files that the table does not list.
    """

    file: str
    columns: Columns
    missing: MissingValues = field(default_factory=MissingValues)
    unused: Unused = field(default_factory=Unused)

    def rows(self, root: Path, faults: Faults) -> list[ImageRow]:
        """Returns the usable rows, in the order of the table.

        Args:
            root: the folder that paths are relative to.
            faults: gets a line for each row that cannot be used.

        Raises:
            DataError: the table cannot be read, lacks a column or has no rows.
        """
        path = root / self.file
        found = read_any(path, self.columns.needed)
        if not found:
            raise DataError(f"table {str(path)!r} has no rows: list the images in it")
        rows: dict[str, ImageRow] = {}
        paths = Paths(root)
        for number, cells in enumerate(found, start=1):
            if not any(cell.strip() for cell in cells.values()):
                continue  # a line of delimiters, as spreadsheets leave them at the end
            place = f"{str(path)!r}, row {number}"
            try:
                row = self._row(cells, paths, place)
            except DataError as error:
                faults.add(str(error), place)
                continue
            if row.id in rows:
                faults.add(f"the id {row.id!r} is already in {rows[row.id].place}: ids must be unique", place)
            else:
                rows[row.id] = row
        self._count_unlisted(root, rows.values())
        return list(rows.values())

    def _count_unlisted(self, root: Path, rows: Iterable[ImageRow]) -> None:
        name_of = names_below(root)
        used = {name_of(path) for row in rows for path in (row.image, *(file for files in row.masks for file in files))}
        self.unused.add_rest(walk(root), {*used, Path(os.path.normpath(self.file)).as_posix()}, UNLISTED)

    def _row(self, cells: Cells, paths: Paths, place: str) -> ImageRow:
        columns, clean = self.columns, self.missing.clean

        def cell(name: str | None) -> str:
            return clean(name, cells[name]) if name else ""

        image = cell(columns.image)
        if not image:
            raise DataError(f"{columns.image} is empty: give the path of the image")
        file = paths.find(image)
        name = cells[columns.id].strip() if columns.id else _without_ending(image, file)
        if not name:
            raise DataError(f"{columns.id} is empty: each row needs an id of its own")
        split = ""
        if columns.split and not (split := split_name(cell(columns.split))):
            raise DataError(f"{columns.split} is {cells[columns.split].strip()!r}: use train, val or test")
        return ImageRow(
            id=name,
            image=file,
            masks=tuple(self._masks(column, cells[column], paths) for column in columns.masks.values()),
            label=intern(self._label(cells)),  # one string for all rows with this label
            group=intern(nfc(cell(columns.group))),
            split=split,
            findings=tuple(_finding(name, cell(name)) for name in columns.findings),
            columns=tuple(_number(name, cell(name)) for name in columns.numbers),
            place=place,
            spacing=spacing_of(columns.spacing, [cell(name) for name in columns.spacing]),
        )

    def _masks(self, column: str, text: str, paths: Paths) -> tuple[Path, ...]:
        cell = self.missing.clean(column, text)
        if re.fullmatch(r"\d+( \d+)+", cell):
            raise DataError(f"{column} holds run lengths ({cell[:20]} ...), not a path: write the masks as PNG files")
        return tuple(paths.find(part.strip()) for part in cell.split(PATH_SEPARATOR) if part.strip())

    def _label(self, cells: Cells) -> str:
        label = self.columns.label
        if label is None:
            return ""
        if isinstance(label, str):
            return self.missing.clean_label(label, cells[label])
        values = {name: _finding(name, self.missing.clean(name, cells[name])) for name in label}
        if all(value == MISSING_PIXEL for value in values.values()):
            return ""
        chosen = [name for name, value in values.items() if value == 1]
        if len(chosen) != 1:
            ones = " and ".join(chosen) or "none"
            raise DataError(f"of the classes {', '.join(label)}, {ones} is 1: exactly one must be")
        return chosen[0]


def _without_ending(text: str, file: Path) -> str:
    """The id of an image: its path as the table states it, without the file's ending."""
    ending = ending_of(file.name)
    return text[: -len(ending)] if ending in ENDINGS and text.lower().endswith(ending) else text


NAME_COLUMNS = "name columns that the table has, such as data.columns.label=... (null: it has none)"


def read_any(path: Path, needed: Sequence[str]) -> Sequence[Cells]:
    """Reads the rows of a csv or Parquet file as text.

    Args:
        path: the file; a csv file may be separated by comma, semicolon or tab.
        needed: columns that it must have.

    Raises:
        DataError: the file cannot be read, or lacks a column.
        ConfigError: pyarrow is needed and not installed.
    """
    if path.suffix.lower() in PARQUET:
        return _read_parquet(path, needed)
    header = {mark: _header(path, mark) for mark in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda mark: (len(header[mark].intersection(needed)), len(header[mark])))
    return read_table(path, needed, delimiter, fix=NAME_COLUMNS, blanks=True)


def _header(path: Path, delimiter: str) -> set[str]:
    """The names in the first line of a csv file, if it is separated by a delimiter."""
    lines = io.StringIO(read_text(path), newline="")
    try:
        return {cell.strip() for cell in next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), [])}
    except csv.Error:  # `read_table` reports it
        return set()


def _read_parquet(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ConfigError(f"{str(path)!r} needs pyarrow; {how_to_install('parquet')}") from error
    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        text = " ".join(str(error).split())[:120]
        raise DataError(f"table {str(path)!r} cannot be read ({text}): give the path of a Parquet file") from error
    absent = [column for column in needed if column not in table.column_names]
    if absent:
        found = ", ".join(table.column_names)[:80]
        raise DataError(f"table {str(path)!r} lacks the column {', '.join(absent)}: {NAME_COLUMNS}, not {found!r}")
    check_once(path, needed, table.column_names)
    return [{name: _text(cell) for name, cell in row.items()} for row in table.select(needed).to_pylist()]


def _text(cell: Any) -> str:
    """Converts a cell to text as in a csv file; whole numbers that pandas stored as floats become integers again."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _finding(name: str, cell: str) -> int:
    if cell == "":
        return MISSING_PIXEL
    if cell in ("0", "0.0", "1", "1.0"):
        return int(float(cell))
    if cell.casefold() in ("true", "false"):  # as pandas writes them
        return int(cell.casefold() == "true")
    raise DataError(f"{name} is {cell!r}: use 0 or 1, or leave the cell empty if it is unknown")


def _number(name: str, cell: str) -> float:
    try:
        number = float(cell or "nan")
    except ValueError as error:
        raise DataError(f"{name} is {cell!r}: use a number, or leave the cell empty if it is unknown") from error
    if math.isinf(number):
        raise DataError(f"{name} is {cell!r}: use a finite number, or leave the cell empty if it is unknown")
    return number
