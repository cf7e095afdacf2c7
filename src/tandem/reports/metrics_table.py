"""The table `metrics.csv`: one row an epoch, one column a logged value."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.utils.files import write_text


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows, whole or not at all; a value that a row lacks is an empty cell.

    Args:
        path: the file.
        rows: values by column; columns stand in the order in which they first appear.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
