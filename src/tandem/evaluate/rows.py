"""A CSV file that is written row by row, and appears only when it is complete."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from tandem.utils.atomic import replacing
from tandem.utils.names import as_cell


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
        self.stack = ExitStack()

    def __enter__(self) -> "RowsFile":
        temporary = self.stack.enter_context(replacing(self.path))
        self.file = self.stack.enter_context(temporary.open("w", newline="", encoding="utf-8"))
        self.writer = csv.DictWriter(self.file, self.columns, restval="", lineterminator="\n")
        self.writer.writeheader()
        return self

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes rows; missing values and nan become empty cells."""
        self.writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stack.__exit__(kind, error, at)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return as_cell(value)
    return "" if isinstance(value, float) and math.isnan(value) else value
