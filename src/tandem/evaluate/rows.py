"""A CSV file that is written row by row, and appears only when it is complete."""

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any


class RowsFile:
    """A CSV file, written under a temporary name and renamed when all rows are written; memory use is constant.

    Use it as a context manager. After an error no file is left.

    Args:
        path: the file.
        columns: names of the columns.
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
        """Writes rows; missing values and nan become empty cells."""
        self.writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        if kind is None:
            self.temporary.replace(self.path)
        self.temporary.unlink(missing_ok=True)


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value
