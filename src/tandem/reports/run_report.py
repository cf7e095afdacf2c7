"""Writes one self-contained HTML page for a run, from the files in its folder."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.metrics.stored import read_quantities
from tandem.reports.answers import run_answer
from tandem.reports.confusion_table import STYLE as CONFUSION_STYLE
from tandem.reports.confusion_table import confusion_table
from tandem.reports.metrics_table import read_metrics
from tandem.reports.page import GAP, answer, details, document, figure, folded, image, scroll
from tandem.reports.palette import ERRORS
from tandem.reports.table import Row, leading, result_groups
from tandem.utils.artifacts import SPLITS_FILE
from tandem.utils.digests import read_artifact
from tandem.utils.files import read_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT = "report.html"

SCORES = r"val/[^/]+/(dice|dice_lesion|balanced_accuracy)"
"""Logged values that the learning curves show besides the losses."""


CASES = f"Image, true mask, predicted mask, errors: {ERRORS}."

EARLIER = "Of an earlier version: the first cases; green: true positive, orange: false negative, red: false positive."


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run's folder from `results.json`, `metrics.csv`, `config.yaml` and `panels/`.

    Args:
        folder: a finished run.

    Returns:
        The page's path.
    """
    results = read_artifact(folder / "results.json")
    parts = [
        _heading(results, _split_sizes(folder / SPLITS_FILE)),
        *_warnings(results),
        *_tables(results),
        "<h2>Cases with the lowest Dice</h2>",
        *_panels(folder / "panels"),
        *_matrices(results),
        "<h2>Dice against threshold</h2>",
        *_sweeps(results),
        "<h2>Learning curves</h2>",
        *_history(read_metrics(folder / "metrics.csv"), results["best_epoch"]),
        details("Configuration", (folder / "config.yaml").read_text(encoding="utf-8")),
        details("Versions and data", _provenance(results)),
    ]
    page = folder / REPORT
    write_text(page, document(f"tandem: {results['name']}", parts, CONFUSION_STYLE))
    return page


def _split_sizes(file: Path) -> dict[str, int]:
    """Number of images of each split; empty if the file is absent or no table of splits."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        return dict(Counter(row.get("split") or "" for row in csv.DictReader(lines)))


def _heading(results: Mapping[str, Any], images: Mapping[str, int]) -> str:
    tasks = ", ".join(f"{name} ({_loss_name(task['loss'])})" for name, task in results["config"]["tasks"].items())
    facts = (
        f"data: {results['data'].get('name', '?')}; tasks: {tasks}; seed {results['seed']}; "
        f"best epoch {results['best_epoch']} of 0 to {results['epochs'] - 1} "
        f"by {results['monitor']}; {results['parameters']:,} parameters; "
        f"{results['seconds']:.0f} s on {results['device']}"
    )
    decided = [f"{name}: {words}" for name, words in results.get("decided", {}).items()]
    facts += f"; decisions: {'; '.join(decided)}" if decided else ""
    said = answer(run_answer(results, read_quantities(results), images))
    return f"<h1>{escape(results['name'])}</h1>{said}<p class='note'>{escape(facts)}</p>"


def _loss_name(loss: Mapping[str, Any]) -> str:
    """Returns the class name of a loss, or of each term of a composite loss."""
    terms = loss.get("terms")
    if terms:
        return " + ".join(_loss_name(term) for term in terms.values())
    return str(loss["_target_"]).rpartition(".")[2]


def _warnings(results: Mapping[str, Any]) -> list[str]:
    """Lists the warnings of the collapse detector; older results have none."""
    items = []
    for warning in results.get("warnings", []):
        where = f"epoch {warning['epoch']}" + (f", task {warning['task']}" if warning["task"] else "")
        items.append(
            f"<li><b>{escape(warning['name'].replace('_', ' '))}</b> ({escape(where)}): {escape(warning['saw'])}. "
            f"Try: {escape(warning['attempt'])}</li>"
        )
    return [f"<h2>Warnings</h2><ul class='warnings'>{''.join(items)}</ul>"] if items else []


def _tables(results: Mapping[str, Any]) -> list[str]:
    """The leading metrics, and all of them to be unfolded."""
    groups = list(result_groups(results["metrics"], results["config"]["tasks"], read_quantities(results)))
    first = list(leading(groups))
    shown, total = (sum(len(rows) for *_, rows in part) for part in (first, groups))
    note = (
        "<p class='note'>The threshold was chosen on validation data, on which Dice is therefore optimistic, "
        "and applied to test data. Means per image are over images with a lesion; a dash: not defined.</p>"
    )
    more = [folded(f"All {total} metrics", _table(groups))] if shown < total else []
    return ["<h2>Results of the best checkpoint</h2>", _table(first), note, *more]


def _table(groups: Iterable[tuple[str, str, list[Row]]]) -> str:
    body = []
    for task, group, rows in groups:
        for index, (one, val, test) in enumerate(rows):
            cells = "".join(f"<td>{escape(cell) if index == 0 else ''}</td>" for cell in (task, group))
            numbers = "".join(f"<td class='n'>{one.text(value)}</td>" for value in (val, test))
            body.append(f"<tr{' class=first' if index == 0 else ''}>{cells}<td>{escape(one.label)}</td>{numbers}</tr>")
    head = "<th>task</th><th>images</th><th>metric</th><th class='n'>val</th><th class='n'>test</th>"
    return scroll(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>")


def _sweeps(results: Mapping[str, Any]) -> list[str]:
    from tandem.reports.figures import sweep_png

    parts = []
    for prefix, curve in results["curves"].items():
        chosen = results["metrics"].get(f"{prefix}/threshold")
        parts.append(image(sweep_png(curve, chosen), prefix, css="plot"))
    return parts or ["<p class='note'>No task with a threshold.</p>"]


def _matrices(results: Mapping[str, Any]) -> list[str]:
    """Returns the confusion matrices; none without a multiclass task, or for older results."""
    found = {place: matrix for place, matrix in results.get("confusion", {}).items() if not place.startswith("train/")}
    tables = [confusion_table(matrix["classes"], matrix["counts"], place) for place, matrix in found.items()]
    return ["<h2>Confusion matrices</h2>", *tables] if tables else []


def _history(rows: Sequence[Mapping[str, str]], best: int) -> list[str]:
    if not rows:
        return ["<p class='note'>No epoch was recorded.</p>"]
    return [figure(drawn, caption) for caption, drawn in history_figures(rows, best)]


def history_figures(rows: Sequence[Mapping[str, str]], best: int | None) -> "Iterator[tuple[str, Figure]]":
    """Draws the learning curves of a run: the losses, and the scores on validation data.

    Args:
        rows: of `metrics.csv`, at least one.
        best: the best epoch.
    """
    from tandem.reports.figures import history_figure

    epochs = [int(row["epoch"]) for row in rows]
    columns = [key for key in rows[-1] if "/" in key]
    losses = [key for key in columns if key.endswith("/loss")]
    scores = [key for key in columns if re.fullmatch(SCORES, key)]
    for caption, keys in (("loss", losses), ("validation scores", scores)):
        lines = {key: [float(row[key]) if row[key] else float("nan") for row in rows] for key in keys}
        yield caption, history_figure(epochs, lines, caption, best)


def _panels(folder: Path) -> list[str]:
    """Each case with its caption; sheets of earlier versions, which have no list of cases, as they are."""
    parts = []
    for sheet in sorted(folder.glob("*.png")):
        listed = sheet.with_suffix(".json")
        if not listed.exists():
            parts += [f"<p class='note'>{EARLIER}</p>", image(sheet.read_bytes(), sheet.stem, css="panels")]
            continue
        cases = read_json(listed)
        stage, _, task = sheet.stem.partition("_")
        parts.append(f"<h3>{escape(f'{stage} {task}')}</h3><p class='note'>{CASES}</p>")
        parts += [
            image(drawn, _caption(case), css="panels")
            for drawn, case in zip(_rows(sheet, len(cases)), cases, strict=True)
        ]
    return parts or ["<p class='note'>None.</p>"]


def _rows(sheet: Path, count: int) -> Iterator[bytes]:
    """Cuts a sheet into its cases, as PNG."""
    from PIL import Image

    with Image.open(sheet) as whole:
        height = (whole.height + GAP) // max(count, 1)
        for index in range(count):
            buffer = io.BytesIO()
            whole.crop((0, index * height, whole.width, (index + 1) * height - GAP)).save(buffer, format="png")
            yield buffer.getvalue()


def _caption(case: Mapping[str, Any]) -> str:
    dice = "both masks empty" if case["dice"] is None else f"Dice {case['dice']:.3f}"
    return "; ".join([str(case["id"]), *([str(case["class"])] if case["class"] is not None else []), dice])


def _provenance(results: Mapping[str, Any]) -> str:
    lines = [f"{name} {number}" for name, number in results["versions"].items()]
    git = results["git"]
    lines.append(f"git {git['commit']}{' with changes' if git['changed'] else ''}" if git else "no git checkout")
    lines += [f"threads {results['threads']}", results["platform"]]
    if weights := results.get("weights"):
        lines.append(f"encoder from {', '.join(f'{key} {value}' for key, value in weights.items())}")
    lines += [f"rows of data left out: {results['data'].get('skipped', 0)}"]
    if overlap := results["data"].get("overlap"):
        lines.append(f"pairs of images that belong together and are in different splits: {overlap}, see data.json")
    lines += [f"data {split}: {value}" for split, value in results["data"]["fingerprint"].items()]
    return "\n".join(lines)
