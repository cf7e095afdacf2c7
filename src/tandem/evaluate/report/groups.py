"""The part of a report about groups of images: a sentence and a table for each column and task."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from tandem.evaluate.groups.scores import ordered
from tandem.metrics.catalogue import Quantity, describe
from tandem.metrics.stored import read_quantities
from tandem.reports.answers import shown
from tandem.reports.page import scroll

MOST = 6
"""Metrics in a table; metrics.json has all."""


def group_parts(evaluation: Mapping[str, Any]) -> list[str]:
    """HTML of all groups; empty if none were asked for."""
    parts = []
    for found in evaluation.get("groups", ()):
        parts.append(f"<h2>By {escape(found['column'])}</h2>")
        parts += [f"<p>{escape(sentence)}</p>" for sentence in _sentences(found, evaluation)]
        for task, of_task in found["tasks"].items():
            parts.append(f"<h3>{escape(task)}</h3>{_table(task, of_task, found, evaluation)}")
        parts.append(f"<p class='note'>{escape(_note(found, evaluation))}</p>")
    return parts


def gap_sentences(evaluation: Mapping[str, Any]) -> list[str]:
    """A sentence for each column and task: the first metric's best and worst group, and the gap between them."""
    return [sentence for found in evaluation.get("groups", ()) for sentence in _sentences(found, evaluation)]


def _sentences(found: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[str]:
    stored = read_quantities(evaluation)
    for task, of_task in found["tasks"].items():
        metrics = ordered(list(of_task["scores"]), task, stored)
        metric = next((name for name in metrics if name in of_task["gaps"]), None)
        if metric is None:
            yield (
                f"By {found['column']}, {task}: fewer than two groups have {found['few']} images and a value, so there "
                "is no gap to report."
            )
            continue
        one, gap = describe(f"test/{task}/{metric}", stored), of_task["gaps"][metric]
        best, worst = (_value(one, of_task["scores"][metric][gap[end]]) for end in ("best", "worst"))
        label = one.column_label.partition(" (")[0]
        yield (
            f"By {found['column']}, {task}: {label} is {best} in {gap['best']} and {worst} in {gap['worst']}, a gap of "
            f"{_value(one, [abs(gap['gap'][0]), *sorted(_towards(gap['gap']))])}."
        )


def _towards(gap: list[float]) -> list[float]:
    """Ends of a gap as a distance: where lower is better, best minus worst is below 0."""
    sign = -1 if gap[0] < 0 else 1
    return [sign * end for end in gap[1:] if end is not None]


def _value(one: Quantity, score: list[float]) -> str:
    return shown(one, score[0], (score[1], score[2]) if len(score) == 3 else None)


def _table(task: str, of_task: Mapping[str, Any], found: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    stored = read_quantities(evaluation)
    metrics = ordered(list(of_task["scores"]), task, stored)[:MOST]
    labels = [describe(f"test/{task}/{metric}", stored) for metric in metrics]
    head = "".join(f"<th class='n'>{escape(one.column_label)}</th>" for one in labels)
    rows = []
    for name in found["images"]:
        count = of_task["images"].get(name)
        if count is None:
            continue
        cells = (_cell(one, of_task["scores"][metric][name]) for one, metric in zip(labels, metrics, strict=True))
        mark = " (few)" if count < found["few"] else ""
        rows.append(f"<tr><td>{escape(name)}{mark}</td><td class='n'>{count}</td>{''.join(cells)}</tr>")
    gap_cells = "".join(_gap(one, of_task["gaps"].get(metric)) for one, metric in zip(labels, metrics, strict=True))
    rows.append(f"<tr class='first'><td>best minus worst</td><td></td>{gap_cells}</tr>")
    top = f"<th>{escape(found['column'])}</th><th class='n'>images</th>{head}"
    return scroll(f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>")


def _cell(one: Quantity, score: list[float]) -> str:
    value, low, high = score
    ends = "" if low is None or low != low else f"<br><small>{one.text(low)} to {one.text(high)}</small>"
    return f"<td class='n'>{one.text(value)}{ends}</td>"


def _gap(one: Quantity, gap: Mapping[str, Any] | None) -> str:
    return "<td class='n'>-</td>" if gap is None else _cell(one, gap["gap"])


def _note(found: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    few, over = found["few"], evaluation["bootstrap"]["over"]
    return (
        f"{found['note']} With 95 % bootstrap intervals over {over} within each group. 'missing': the value is not "
        f"known; 'few': fewer than {few} images. Both are left out of the gap between the best and the worst group. "
        "This pair was chosen by its numbers, so the gap is larger than between two groups named beforehand. A class "
        "that a group lacks is left out of its means over classes."
    )
