"""The self-contained HTML report of an evaluation."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from tandem.evaluate.findings import Findings, Score, ScoreTable, Shown
from tandem.evaluate.report.external import external_answer, external_parts, external_title
from tandem.evaluate.report.groups import group_parts
from tandem.evaluate.report.rows import ReportRow, rows_of
from tandem.metrics.stored import read_quantities
from tandem.reports.answers import BRACKETS, on_images, task_answers
from tandem.reports.page import answer, details, document, figure, folded, image, scroll
from tandem.reports.table import format_value
from tandem.utils.files import write_text

REPORT = "report.html"

STYLE = """
.scroll table { font-size: .9rem; } td.n small { color: var(--soft); }
img.square { width: 22rem; } img.case { width: 46rem; image-rendering: auto; }
"""


def write_page(
    folder: Path, evaluation: Mapping[str, Any], findings: Mapping[str, Findings], shown: Mapping[str, Sequence[Shown]]
) -> Path:
    """Writes `report.html` into the folder of an evaluation.

    Args:
        folder: folder of the evaluation.
        evaluation: content of its `metrics.json`.
        findings: results of each task.
        shown: cases of each task.

    Returns:
        Path of the report.
    """
    parts = [_heading(evaluation), *_warnings(evaluation["warnings"]), *_looks(evaluation)]
    parts += [*external_parts(evaluation), *_numbers(evaluation)]
    parts += group_parts(evaluation)
    for name, found in findings.items():
        parts.append(f"<h2>{escape(name)}</h2>")
        parts += [f"<p class='note'>{escape(note)}</p>" for note in found.notes]
        parts += [_table(table) for table in found.tables]
        parts += [_nested_estimate(question, estimate) for question, estimate in found.estimates.items() if estimate]
        parts += [figure(drawn.figure, drawn.caption, _css(drawn.figure)) for drawn in found.drawings]
        parts += [_shown(part) for part in shown[name]]
    parts += [details("Versions and data", _provenance(evaluation))]
    page = folder / REPORT
    write_text(page, document(f"tandem: {_title(evaluation)}", parts, STYLE))
    return page


def _heading(evaluation: Mapping[str, Any]) -> str:
    thresholds = "; ".join(
        f"{name} {'/'.join(f'{value:g}' for value in values)}"
        + ("" if values == evaluation["stored_thresholds"].get(name) else " (not the stored one)")
        for name, values in evaluation["thresholds"].items()
    )
    said = [f"{name}: {words}" for name, words in evaluation.get("decided", {}).items()]
    decided = f"decisions: {'; '.join(said)}; " if said else ""
    if evaluation.get("flips"):
        decided += "probabilities averaged over each image and its mirrored copies; "
    if (overlap := evaluation.get("windows")) is not None:
        decided += f"masks of the files from windows with an overlap of {overlap:g}; "
    facts = (
        f"run {evaluation['hash']}; data: {evaluation['data']['name']}, {evaluation['images']} images of "
        f"{evaluation['split']}; thresholds: {thresholds or 'none'}; {decided}{evaluation['date']}"
    )
    return f"<h1>{escape(_title(evaluation))}</h1>{answer(_answer(evaluation))}<p class='note'>{escape(facts)}</p>"


def _title(evaluation: Mapping[str, Any]) -> str:
    return external_title(evaluation) or f"{evaluation['name']} on {evaluation['split']} data"


def _answer(evaluation: Mapping[str, Any]) -> str:
    """The numbers of each task in a sentence, with their intervals."""
    split = evaluation["split"]
    intervals = {name: (ends[0], ends[1]) for name, ends in evaluation["intervals"].items()}
    tasks, stored = list(evaluation["tasks"]), read_quantities(evaluation)
    said = task_answers(evaluation["metrics"], tasks, split, stored, intervals)
    other = " Decided beside the threshold, as said below." if evaluation.get("decisions") else ""
    if evaluation.get("external"):
        return external_answer(evaluation, said, BRACKETS) + other
    return f"{on_images(split, evaluation['images'], said)}{other} {BRACKETS}" if said else "No task has a metric here."


def _warnings(warnings: Sequence[str]) -> list[str]:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return [f"<ul class='warnings'>{items}</ul>"] if items else []


def _looks(evaluation: Mapping[str, Any]) -> list[str]:
    """How often the test data were evaluated, and with which thresholds."""
    from tandem.evaluate.results import describe_look

    if not evaluation["looks"]:
        return []
    body = "".join(
        f"<tr><td>{escape(describe_look(look))}</td><td class='n'>{look['times']}</td>"
        f"<td>{escape(look['first'])}</td><td>{escape(look['last'])}</td></tr>"
        for look in evaluation["looks"]
    )
    head = "<tr><th>thresholds</th><th class='n'>times</th><th>first</th><th>last</th></tr>"
    table = scroll(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")
    return (
        [folded("Evaluations on test data", table)]
        if len(evaluation["looks"]) == 1
        else [f"<h3>Evaluations on test data</h3>{table}"]
    )


def _numbers(evaluation: Mapping[str, Any]) -> list[str]:
    split = evaluation["split"]
    rows = list(rows_of(evaluation))
    first = list(rows_of(evaluation, lead=True))
    empty = " ".join(dict.fromkeys(evaluation["empty"].values()))
    note = (
        f"{empty} Intervals: bootstrap over {evaluation['bootstrap']['over']} (assumed independent), "
        f"{evaluation['bootstrap']['samples']} samples; shares of images have the score interval (Wilson). All numbers "
        "can be recomputed from images.csv, except losses and pixel-wise AUROC, AP and calibration. "
        "A dash: not defined."
    )
    choice = (
        " The threshold was chosen on these data, so its score is optimistic here; see the nested estimate below."
        if split == "val" and evaluation["thresholds"]
        else ""
    )
    more = [folded(f"All {len(rows)} numbers", _rows(rows, split))] if len(first) < len(rows) else []
    return ["<h2>Numbers</h2>", _rows(first, split), *more, f"<p class='note'>{escape(note + choice)}</p>"]


def _rows(rows: Sequence[ReportRow], split: str) -> str:
    head = (
        f"<th>task</th><th>images</th><th>metric</th><th class='n'>{escape(split)}</th><th class='n'>95 % interval</th>"
    )
    body = "".join(map(_row, rows))
    return scroll(f"<table class='numbers'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _row(row: ReportRow) -> str:
    cells = "".join(f"<td>{escape(text)}</td>" for text in (row.task, row.images, row.metric))
    interval = "" if row.interval is None else _interval(*row.interval)
    css = " class='first'" if row.task or row.images else ""
    return f"<tr{css}>{cells}<td class='n'>{format_value(row.value)}</td><td class='n wide'>{interval}</td></tr>"


def _interval(low: float | None, high: float | None) -> str:
    ends = [format_value(low), format_value(high)]
    return "" if ends == ["-", "-"] else " to ".join(ends)


def _table(table: ScoreTable) -> str:
    head = "".join(f"<th{' class=n' if place else ''}>{escape(text)}</th>" for place, text in enumerate(table.head))
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in table.rows)
    shown = scroll(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    return f"<h3>{escape(table.title)}</h3>{shown}<p class='note'>{escape(table.note)}</p>"


def _cell(value: str | int | float | Score) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if isinstance(value, Score):
        return f"<td class='n'>{format_value(value.value)}<br><small>{_interval(value.low, value.high)}</small></td>"
    return f"<td class='n'>{value if isinstance(value, int) else format_value(value)}</td>"


def _nested_estimate(question: str, found: Mapping[str, Any]) -> str:
    """The result of `threshold_optimism` in words."""
    low, high = found["thresholds"]
    score, nested, spread, optimism = (format_value(found[key]) for key in ("score", "nested", "spread", "optimism"))
    kind = f"{found['objective']}, {found['aggregate'].replace('_', ' ')}"
    text = (
        f"{question}: the best threshold on these images is {found['threshold']:.3g}, with {score} ({kind}). Nested "
        f"estimate: with the threshold chosen on a random half of the images and scored on the other half, the mean "
        f"score is {nested} (standard deviation {spread}); the halves choose thresholds from {low:.3g} to {high:.3g}. "
        f"Bootstrap estimate of the optimism: {optimism}."
    )
    return f"<h3>How optimistic is the best threshold?</h3><p>{escape(text)}</p>"


def _shown(part: Shown) -> str:
    images = "".join(image(_png(pixels), caption, "case") for pixels, caption in part.images)
    return f"<h3>{escape(part.title)}</h3><p class='note'>{escape(part.note)}</p>{images}"


def _png(pixels: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


def _css(drawn: Any) -> str:
    width, height = drawn.get_size_inches()
    return "plot" if width > 1.25 * height else "square"


def _provenance(evaluation: Mapping[str, Any]) -> str:
    lines = [f"{name} {number}" for name, number in evaluation["versions"].items()]
    git = evaluation["git"]
    lines.append(f"git {git['commit']}{' with local changes' if git['changed'] else ''}" if git else "no git checkout")
    lines += [f"{evaluation['device']}, {evaluation['threads']} threads", evaluation["platform"]]
    lines += [f"batch size {evaluation['batch_size']}", f"data {evaluation['data']['fingerprint']}"]
    return "\n".join(lines)
