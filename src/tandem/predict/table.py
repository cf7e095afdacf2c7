"""A csv file that is written row by row, and can be resumed after any interruption."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tandem.errors import DataError
from tandem.utils.files import write_text
from tandem.utils.names import as_cell, from_cell


class PredictionsFile:
    """Rows identified by their first cell; used as a context manager.

    Args:
        path: the file.
        columns: its header.
        further: columns that follow them if they are wanted, or if the file has them already; empty in earlier rows.
        wanted: whether they are.

    Raises:
        DataError: if the file has another header.
    """

    def __init__(self, path: Path, columns: Sequence[str], further: Sequence[str] = (), wanted: bool = False) -> None:
        self.path = path
        self.base, whole = tuple(columns), (*columns, *further)
        self.columns = whole if wanted or self._lines()[:1] == [list(whole)] else self.base

    def keep(self, wanted: Callable[[Mapping[str, str]], bool]) -> set[str]:
        """Keeps the rows that are complete and wanted, and drops the others.

        Args:
            wanted: decides whether a row, by column, stays.

        Returns:
            Names of the rows that stay.
        """
        kept = {name: row for name, row in self._read().items() if wanted(dict(zip(self.columns, row, strict=True)))}
        self._write(list(kept.values()))
        return set(kept)

    def sort(self, names: Sequence[str]) -> None:
        """Sorts the rows.

        Args:
            names: names of rows in the wanted order; other rows follow.
        """
        rows = self._read()
        first = {name: rows.pop(name) for name in names if name in rows}
        self._write([*first.values(), *rows.values()])

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row; missing values become empty cells."""
        self.file.write(_line([row.get(column, "") for column in self.columns]))
        self.file.flush()

    def __enter__(self) -> "PredictionsFile":
        self.file = self.path.open("a", newline="", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()

    def _read(self) -> dict[str, list[str]]:
        """Reads the rows by name, without an incomplete last row."""
        rows = self._lines()
        if rows and tuple(rows[0]) not in (self.columns, self.base):
            raise DataError(
                f"{self.path} has other columns than this command writes; delete it, or set another out=..."
            )
        blank = [""] * (len(self.columns) - len(rows[0])) if rows else []
        known = ([*map(from_cell, row), *blank] for row in rows[1:] if len(row) == len(rows[0]))
        return {row[0]: row for row in known}

    def _lines(self) -> list[list[str]]:
        """The complete lines of the file."""
        text = self.path.read_bytes().decode("utf-8", "replace") if self.path.exists() else ""
        rows = list(csv.reader(io.StringIO(text, newline="")))
        cut = not text.endswith("\n") or text.count('"') % 2  # an odd number: cut at a line break inside quotes
        return rows[:-1] if cut else rows

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        write_text(self.path, "".join(map(_line, [self.columns, *rows])))


def _line(cells: Sequence[Any]) -> str:
    place = io.StringIO()
    safe = [as_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    csv.writer(place, lineterminator="\r\n").writerow(safe)  # with "\n" alone, a "\r" inside would not be quoted
    return place.getvalue().removesuffix("\r\n") + "\n"
