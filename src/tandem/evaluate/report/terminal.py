"""Prints the results of an evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tandem.evaluate.decided_table import print_decided
from tandem.evaluate.report.external import difference_sentences, external_title
from tandem.evaluate.report.groups import gap_sentences
from tandem.evaluate.report.rows import rows_of
from tandem.reports.table import format_value
from tandem.utils.console import escape
from tandem.utils.terminal_table import print_table


def print_evaluation(evaluation: Mapping[str, Any]) -> None:
    """Prints the metrics with their intervals, the warnings, and the paths of the files.

    Args:
        evaluation: content of the evaluation's `metrics.json`.
    """
    folder = Path(evaluation["run"]) / "evaluation" / evaluation.get("folder", evaluation["split"])
    title = f"{external_title(evaluation) or _own_title(evaluation)}, {evaluation['images']} images"
    table = Table(title=escape(title))
    for column in ("task", "images", "metric"):
        table.add_column(column)
    for column in (evaluation["split"], "95 % interval"):
        table.add_column(column, justify="right", no_wrap=True)
    for index, row in enumerate(rows_of(evaluation)):
        if row.task and index:
            table.add_section()
        ends = "" if row.interval is None else " to ".join(format_value(end) for end in row.interval)
        table.add_row(escape(row.task), row.images, escape(row.metric), format_value(row.value), ends)
    console = Console()
    print_table(table, console, 3)
    for name, words in evaluation.get("decided", {}).items():
        console.print(f"decision of {name}: {words}", markup=False, highlight=False, soft_wrap=True)
    print_decided(console, evaluation)
    for sentence in (*difference_sentences(evaluation), *gap_sentences(evaluation)):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    for warning in evaluation["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for name in ("images.csv", "groups.csv", "metrics.json", "report.html"):
        if (folder / name).exists():
            console.print(f"{folder / name}", highlight=False, soft_wrap=True, markup=False)


def _own_title(evaluation: Mapping[str, Any]) -> str:
    return f"{evaluation['name']} on {evaluation['split']}"
