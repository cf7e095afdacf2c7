"""A table of columns, as metrics over epochs and predictions of images are read."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.python.html import page, table
from tandem.utils.names import from_cell

SHOWN, WIDE = 20, 12
"""Numbers of rows and of columns that a notebook shows."""

Column = Sequence[Any]


class Table(Mapping[str, list[Any]]):
    """Columns by name, all of one length: `table["epoch"]`. `pandas.DataFrame(table)` and matplotlib take it as it is.

    A number is an int or a float, an empty cell nan, anything else text. Columns are copies.

    Args:
        columns: lists by name.
        title: what the table is, for notebooks.

    Example:
        >>> Table({"epoch": [0, 1], "val/loss": [0.5, 0.4]}).rows()
        [{'epoch': 0, 'val/loss': 0.5}, {'epoch': 1, 'val/loss': 0.4}]
    """

    def __init__(self, columns: Mapping[str, Column], title: str = "") -> None:
        self._columns = {name: list(values) for name, values in columns.items()}
        self.title = title

    def __getitem__(self, name: str) -> list[Any]:
        return list(self._columns[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"<Table {self.title}: {self.height} rows, {len(self)} columns>"

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), []))

    def rows(self) -> list[dict[str, Any]]:
        """The rows, each a dict by column."""
        return [dict(zip(self._columns, row, strict=True)) for row in zip(*self._columns.values(), strict=True)]

    def _repr_html_(self) -> str:
        names = list(self)[:WIDE]
        body = list(zip(*(self._columns[name][:SHOWN] for name in names), strict=True))
        left = {"rows": self.height - SHOWN, "columns": len(self) - WIDE}
        more = " and ".join(f"{count} more {what}" for what, count in left.items() if count > 0)
        return page(self.title, table(names, body), f"<p>and {more}</p>" if more else "")


def read_table(path: Path, title: str) -> Table:
    """Reads a CSV file that tandem has written.

    Args:
        path: the file, whose first line names the columns.
        title: what it is.

    Raises:
        DataError: it is not there, or has rows of different lengths.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *body = list(csv.reader(file)) or [[]]
        columns = zip(*body, strict=True) if body else iter([()] * len(head))
        return Table({name: _typed(values) for name, values in zip(head, columns, strict=True)}, title)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); copy it back, or write it again") from error


def _typed(cells: Sequence[str]) -> list[Any]:
    """All cells of a column as numbers, if all of them are; an empty one is nan there, and empty text elsewhere."""
    for kind in (int, float):
        try:
            return [float("nan") if cell == "" else kind(cell) for cell in cells]
        except ValueError:
            continue
    return [from_cell(cell) for cell in cells]
