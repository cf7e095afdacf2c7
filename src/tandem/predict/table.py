"""A csv file that is written row by row, and can be resumed after any interruption."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tandem.errors import DataError
from tandem.utils.files import write_text


class PredictionsFile:
    """Rows identified by their first cell; used as a context manager.

    Args:
        path: the file.
        columns: its header.

    Raises:
        DataError: if the file has another header.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

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
        text = self.path.read_bytes().decode("utf-8", "replace") if self.path.exists() else ""
        rows = list(csv.reader(io.StringIO(text, newline="")))
        if not text.endswith("\n") or text.count('"') % 2:  # an odd number: cut at a line break inside quotes
            rows = rows[:-1]
        if rows and tuple(rows[0]) != self.columns:
            raise DataError(
                f"{self.path} has other columns than this command writes; delete it, or set another out=..."
            )
        return {row[0]: row for row in rows[1:] if len(row) == len(self.columns)}

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        write_text(self.path, "".join(map(_line, [self.columns, *rows])))


def _line(cells: Sequence[Any]) -> str:
    place = io.StringIO()
    csv.writer(place, lineterminator="\r\n").writerow(cells)  # with "\n" alone, a "\r" inside would not be quoted
    return place.getvalue().removesuffix("\r\n") + "\n"
