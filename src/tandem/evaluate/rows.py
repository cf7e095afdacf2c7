"""A table that is written a few rows at a time and is whole or not there."""

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tandem.utils.names import as_cell


class RowsFile:
    """A csv file, written beside its name and moved there when all rows are in; memory does not grow with them.

    Used as a context; where an error ends it, nothing is left.

    Args:
        path: the file.
        columns: its head.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = list(columns)
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> "RowsFile":
        self.file = self.temporary.open("w", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, self.columns, restval="", lineterminator="\n")
        self.writer.writeheader()
        return self

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows; what a row lacks, and what is not a number, is an empty cell."""
        self.writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        if kind is None:
            self.temporary.replace(self.path)
        self.temporary.unlink(missing_ok=True)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return as_cell(value)
    return "" if isinstance(value, float) and math.isnan(value) else value
