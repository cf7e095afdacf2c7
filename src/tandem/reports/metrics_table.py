"""Reads and writes `metrics.csv`: one row for each epoch, one column for each logged value."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.utils.digests import check_intact
from tandem.utils.files import write_text


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Reads the rows of a `metrics.csv`; returns none if the file does not exist.

    Raises:
        DamagedError: it is not as the run wrote it.
    """
    if not path.exists():
        return []
    check_intact(path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows atomically; a value that a row lacks becomes an empty cell.

    Args:
        path: the file.
        rows: values by column; columns are in the order of first appearance.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
