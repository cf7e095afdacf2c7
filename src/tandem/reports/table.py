"""The table at the end of a run, with separate groups for images with and without a lesion."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tandem.metrics.catalogue import ALL, EMPTY, LESION, Quantity, describe, key_of
from tandem.metrics.declared import skips_empty
from tandem.metrics.stored import read_quantities
from tandem.utils.commands import spelled
from tandem.utils.console import escape
from tandem.utils.files import from_here
from tandem.utils.terminal_table import print_table

ROWS = 20
"""Rows of the table, unless all are asked for."""


class Row(NamedTuple):
    """One quantity of a run's table; a value is None or nan where it is unknown."""

    quantity: Quantity
    val: float | None
    test: float | None


def result_groups(
    metrics: Mapping[str, float | None], tasks: Mapping[str, Any], stored: Mapping[str, Quantity] | None = None
) -> Iterator[tuple[str, str, list[Row]]]:
    """Yields task, group of images, and rows (metric, validation, test), in the order of the table.

    Args:
        metrics: metrics by logged name, as in `results.json`.
        tasks: configuration of the tasks by name; it states which metrics leave out images without a lesion.
        stored: quantities of the run, from its `results.json`.
    """
    for task, settings in tasks.items():
        split = (key.split("/", 2) for key in metrics)
        names = dict.fromkeys(parts[2] for parts in split if len(parts) == 3 and parts[1] == task)
        found = {name: _quantity(f"val/{task}/{name}", settings, stored) for name in names}
        ordered = sorted(found, key=lambda name: found[name].order)
        for group in dict.fromkeys([ALL, LESION, EMPTY, *(one.group for one in found.values())]):
            rows = [
                Row(found[name], metrics.get(f"val/{task}/{name}"), metrics.get(f"test/{task}/{name}"))
                for name in ordered
                if found[name].group == group
            ]
            if rows:
                yield task, group, rows


LEADING = {ALL: 4, LESION: 2}
"""How many metrics of a group of images lead a page, in the order of tables; of every other group one."""


def leading(groups: Iterable[tuple[str, str, list[Row]]]) -> Iterator[tuple[str, str, list[Row]]]:
    """Yields the first metrics of each group.

    Args:
        groups: of `result_groups`.
    """
    for task, group, rows in groups:
        yield task, group, rows[: LEADING.get(group, 1)]


def _quantity(name: str, settings: Mapping[str, Any], stored: Mapping[str, Quantity] | None) -> Quantity:
    """A quantity of a run; for runs of 0.1.0 the configuration gives the images that it is over."""
    found = describe(name, stored)
    if stored and key_of(name) in stored:
        return found
    return replace(found, group=LESION) if skips_empty(settings, name.split("/", 3)[2]) else found


def headline(
    metrics: Mapping[str, float | None], task: str, stored: Mapping[str, Quantity] | None = None
) -> str | None:
    """The metric that speaks for a task: the first one in the order of tables, or the task's loss.

    Args:
        metrics: by logged name.
        task: name of the task.
        stored: quantities of the run, from its `results.json`.

    Example:
        >>> headline({"val/lesion/loss": 0.1, "val/lesion/iou": 0.4, "val/lesion/dice": 0.5}, "lesion")
        'dice'
    """
    parts = (key.split("/", 2) for key in metrics)
    names = [name for _, owner, name in (part for part in parts if len(part) == 3) if owner == task]
    others = [name for name in names if name.partition("/")[0] != "loss"]
    ranked = sorted(others, key=lambda name: describe(f"val/{task}/{name}", stored).order)
    return next(iter([*ranked, *names]), None)


def format_value(value: float | None) -> str:
    """Formats three digits; a dash if the value is not defined."""
    return Quantity("").text(value)


def _brief(key: str) -> bool:
    """Whether the terminal shows a metric; loss terms and most per-class values are only on the page."""
    return key.count("/") < 3 or key.split("/")[2] == "recall"


def first_rows(counts: Sequence[int], most: int) -> list[int]:
    """How many rows of each group are shown: each gets one in turn until there is no room left.

    Args:
        counts: rows of each group.
        most: rows of all groups together.

    Example:
        >>> first_rows([14, 14, 5, 1], 20), first_rows([2, 1], 20)
        ([7, 7, 5, 1], [2, 1])
    """
    shown = [0] * len(counts)
    while sum(shown) < min(most, sum(counts)):
        for place, count in enumerate(counts):
            if shown[place] < count and sum(shown) < most:
                shown[place] += 1
    return shown


def print_results(results: Mapping[str, Any], folder: Path, full: bool = False) -> None:
    """Prints the table of a run, without loss terms, the path of its report, and the command that goes on from there.

    Args:
        results: content of `results.json`.
        folder: the run's folder.
        full: whether all rows are shown, not the first `ROWS`.
    """
    table = Table(
        title=f"{escape(results['name'])}: best epoch {results['best_epoch']} by {escape(results['monitor'])}"
    )
    for column, justify in (
        ("task", "left"),
        ("images", "left"),
        ("metric", "left"),
        ("val", "right"),
        ("test", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    shown = {key: value for key, value in results["metrics"].items() if _brief(key)}
    groups = list(result_groups(shown, results["config"]["tasks"], read_quantities(results)))
    total = sum(len(rows) for _, _, rows in groups)
    counts = first_rows([len(rows) for _, _, rows in groups], total if full else ROWS)
    for (task, group, rows), count in zip(groups, counts, strict=True):
        for index, (one, val, test) in enumerate(rows[:count]):
            heading = (escape(task), escape(group)) if index == 0 else ("", "")
            table.add_row(*heading, escape(one.label), one.text(val), one.text(test))
        table.add_section()
    console = Console()
    print_table(table, console, 3)
    if sum(counts) < total:
        console.print(f"{sum(counts)} of {total} rows; full=true shows all, as the report does", highlight=False)
    for warning in results.get("warnings", []):
        text = f"epoch {warning['epoch']}: {warning['saw']}; try: {warning['attempt']}"
        console.print(f"[yellow]warning[/] {escape(text)}", highlight=False, soft_wrap=True)
    console.print(f"report: {folder / 'report.html'}", highlight=False, soft_wrap=True, markup=False)
    following = f"next: {spelled('evaluate')} run={shlex.quote(from_here(folder))}"
    console.print(following, highlight=False, soft_wrap=True, markup=False)
