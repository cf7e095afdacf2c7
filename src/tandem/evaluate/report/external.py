"""The parts of a report that say that it is an external test, and how far it is from the internal one."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tandem.evaluate.report.rows import rows_of
from tandem.metrics.catalogue import describe
from tandem.metrics.stored import read_quantities
from tandem.reports.page import scroll
from tandem.reports.table import format_value, headline

NOTE = (
    "Intervals of the difference: unpaired bootstrap; both sets of {over} are drawn independently, {samples} samples. "
    "Network, tasks, thresholds and preprocessing are those of the run; nothing is fitted on the other set."
)


def external_title(evaluation: Mapping[str, Any]) -> str | None:
    """Title of the page; None for an evaluation on the run's own data."""
    found = evaluation.get("external")
    return f"{evaluation['name']}: external test on {found['site']}" if found else None


def external_answer(evaluation: Mapping[str, Any], said: Sequence[str], brackets: str) -> str:
    """The first sentences: which set, how many images, the numbers, and how far they are from the internal test.

    Args:
        evaluation: content of `metrics.json`.
        said: a sentence for each task, see `task_answers`.
        brackets: what brackets mean.
    """
    found = evaluation["external"]
    apart = f"none of them in {evaluation['name']}'s training" if found["compared"] and not found["shared"] else ""
    opening = f"External test on {found['site']}: {evaluation['images']:,} images{f', {apart}' if apart else ''}."
    numbers = f"{'. '.join(said)}. {brackets}" if said else "No task has a metric here."
    return " ".join([opening, numbers, *difference_sentences(evaluation)])


def difference_sentences(evaluation: Mapping[str, Any]) -> list[str]:
    """How far the first metric of each task is from the internal test; empty where that is not known."""
    if not evaluation.get("external"):
        return []
    found, stored = evaluation["external"], read_quantities(evaluation)
    scores = found["scores"]
    said = []
    for task in evaluation["tasks"]:
        name = headline({key: entry["internal"][0] for key, entry in scores.items()}, task, stored)
        if name is None:
            continue
        one = describe(f"test/{task}/{name}", stored)
        value, low, high = scores[f"test/{task}/{name}"]["difference"]
        if value is None or value != value:
            continue
        ends = f" [{_signed(low)}, {_signed(high)}]" if low == low and low is not None else ""
        said.append(f"{one.column_label.partition(' (')[0]} of {task} {_signed(value)}{ends}")
    internal = found["internal_images"]
    return [f"Difference to the internal test ({internal:,} images): {'; '.join(said)}."] if said else []


def external_parts(evaluation: Mapping[str, Any]) -> list[str]:
    """HTML of the table of differences; empty for an evaluation on the run's own data."""
    found = evaluation.get("external")
    if not found or not found["scores"]:
        return []
    rows = "".join(_rows(evaluation))
    count = found["internal_images"]
    head = (
        f"<th>task</th><th>images</th><th>metric</th><th class='n'>internal test ({count:,})</th>"
        f"<th class='n'>{escape(found['site'])} ({evaluation['images']:,})</th><th class='n'>difference</th>"
    )
    note = NOTE.format(over=evaluation["bootstrap"]["over"], samples=evaluation["bootstrap"]["samples"])
    table = scroll(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
    return [f"<h2>Against the internal test</h2>{table}<p class='note'>{escape(note)}</p>"]


def _rows(evaluation: Mapping[str, Any]) -> Sequence[str]:
    """The first metrics of each group of images, once for each of the three numbers."""
    scores = evaluation["external"]["scores"]
    columns = []
    for values in (
        {key: entry["internal"] for key, entry in scores.items()},
        {key: [evaluation["metrics"][key], *evaluation["intervals"].get(key, (None, None))] for key in scores},
        {key: entry["difference"] for key, entry in scores.items()},
    ):
        metrics = {key: entry[0] for key, entry in values.items()}
        intervals = {key: entry[1:] for key, entry in values.items()}
        columns.append(list(rows_of({**evaluation, "metrics": metrics, "intervals": intervals}, lead=True)))
    lines = []
    for rows in zip(*columns, strict=True):
        first = rows[0]
        cells = "".join(f"<td>{escape(text)}</td>" for text in (first.task, first.images, first.metric))
        numbers = "".join(_cell(row.value, row.interval, signed=place == 2) for place, row in enumerate(rows))
        css = " class='first'" if first.task or first.images else ""
        lines.append(f"<tr{css}>{cells}{numbers}</tr>")
    return lines


def _cell(value: float | None, interval: tuple[float | None, float | None] | None, *, signed: bool) -> str:
    shown = _signed if signed else format_value
    low, high = interval or (None, None)
    ends = [shown(low), shown(high)]
    small = "" if ends == ["-", "-"] else f"<br><small>{' to '.join(ends)}</small>"
    return f"<td class='n'>{shown(value)}{small}</td>"


def _signed(value: float | None) -> str:
    """A difference with its sign.

    Example:
        >>> _signed(0.25), _signed(-0.25), _signed(None)
        ('+0.250', '-0.250', '-')
    """
    text = format_value(value)
    return f"+{text}" if value is not None and value == value and value > 0 else text
