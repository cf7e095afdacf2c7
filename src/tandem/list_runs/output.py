"""Lists and comparisons as a table for people, and as CSV and JSON for programs."""

import csv
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.list_runs.compared import Comparison
from tandem.list_runs.found import ListedRun
from tandem.metrics.catalogue import describe
from tandem.metrics.stored import agreed
from tandem.utils.console import escape
from tandem.utils.files import from_here
from tandem.utils.names import as_cell, printable
from tandem.utils.terminal_table import print_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ROWS = 40
"""Rows of a table, unless all are asked for."""

SHORT = 10
"""Rows of metrics in a comparison that are shown for each task, unless all are asked for."""

TOLD = ("failed", "unreadable")
"""States whose reason is in the table; those of the others are all alike."""

Differing = Mapping[Path, Mapping[str, str]]


def records(listed: Sequence[ListedRun], differ: Differing) -> list[dict[str, Any]]:
    """The runs as plain values, for JSON.

    Args:
        listed: the runs.
        differ: what distinguishes each.
    """
    return [
        {
            "name": one.name,
            "hash": one.hash,
            "state": one.state,
            "reason": one.reason,
            "when": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(one.when)),
            "differs": dict(differ[one.folder]),
            "monitor": one.monitor,
            "best": one.best,
            "overrides": list(one.overrides),
            "metrics": {} if one.run is None else dict(one.run.metrics),
            "path": str(one.folder),
        }
        for one in listed
    ]


def write_list(listed: Sequence[ListedRun], differ: Differing, form: str, full: bool) -> None:
    """Prints the list.

    Args:
        listed: in the order of the rows.
        differ: what distinguishes each.
        form: `table`, `csv` or `json`.
        full: whether a table has all rows.
    """
    if form == "json":
        sys.stdout.write(f"{json.dumps(records(listed, differ), indent=1)}\n")
    elif form == "csv":
        columns = ("name", "hash", "state", "reason", "when", "differs", "monitor", "best", "path")
        rows = [{**row, "differs": _told(row["differs"])} for row in records(listed, differ)]
        _csv(columns, [[row[column] for column in columns] for row in rows])
    else:
        shown = listed if full else listed[:ROWS]
        print_table(_list_table(shown, differ), _console(), keep=3)
        if len(shown) < len(listed):
            sys.stdout.write(f"{len(shown)} of {len(listed)} runs; full=true shows all\n")


def write_comparison(found: Comparison, form: str, full: bool) -> None:
    """Prints two runs side by side.

    Args:
        found: what they have.
        form: `table`, `csv` or `json`.
        full: whether a table has all metrics.
    """
    one, other = (run.hash for run in found.runs)
    if form == "json":
        whole = {"runs": [str(run.folder) for run in found.runs], "settings": found.settings, "metrics": found.metrics}
        sys.stdout.write(f"{json.dumps(whole, indent=1)}\n")
    elif form == "csv":
        _csv(("what", one, other), [*found.settings, *found.metrics])
    else:
        console = _console()
        if found.settings:
            print_table(_settings_table(found), console)
        else:
            console.print("no setting differs")
        print_table(_metrics_table(found, full), console)


def _list_table(listed: Sequence[ListedRun], differ: Differing) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("when", "name", "hash", "state"):
        table.add_column(head, no_wrap=True)
    table.add_column("what differs", overflow="fold")
    table.add_column("best on validation", justify="right", overflow="fold")
    table.add_column("path", overflow="fold")
    for one in listed:
        quantity = describe(one.monitor, one.run.quantities) if one.run is not None else None
        best = "" if quantity is None else f"{quantity.label} {quantity.text(one.best)}"
        told = _told(differ[one.folder])
        table.add_row(
            time.strftime("%Y-%m-%d %H:%M", time.localtime(one.when)),
            *(escape(text) for text in (one.name, one.hash, one.state)),
            escape(f"{told}: {one.reason}".removeprefix(": ") if one.reason and one.state in TOLD else told),
            escape(best), escape(from_here(one.folder)),
        )  # fmt: skip
    return table


def _settings_table(found: Comparison) -> "Table":
    table = _pair("setting", found)
    for key, first, second in found.settings:
        table.add_row(escape(key), escape(first), escape(second))
    return table


def _metrics_table(found: Comparison, full: bool) -> "Table":
    stored = agreed(run.run.quantities for run in found.runs if run.run is not None)
    table = _pair("metric", found, "right")
    table.add_column("change", justify="right")
    seen: dict[str, int] = {}
    for name, first, second in found.metrics:
        task = name.split("/")[1]
        seen[task] = seen.get(task, 0) + 1
        if not full and (seen[task] > SHORT or name.count("/") > 2):
            continue
        quantity = describe(name, stored)
        change = "" if first is None or second is None else f"{second - first:+.3f}"
        table.add_row(escape(name), quantity.text(first), quantity.text(second), change)
    return table


def _pair(head: str, found: Comparison, justify: Any = "left") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(head, overflow="fold")
    for run in found.runs:
        table.add_column(escape(f"{run.name} {run.hash}"), justify=justify, overflow="fold")
    return table


def _console() -> "Console":
    from rich.console import Console

    return Console()


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow("" if cell is None else as_cell(printable(str(cell))) for cell in row)


def _told(differ: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in differ.items())
