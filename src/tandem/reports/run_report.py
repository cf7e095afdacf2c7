"""Writes one self-contained HTML page for a run, from the files in its folder."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.metrics.stored import read_quantities
from tandem.reports.confusion_table import STYLE as CONFUSION_STYLE
from tandem.reports.confusion_table import confusion_table
from tandem.reports.metrics_table import read_metrics
from tandem.reports.page import details, document, figure, image
from tandem.reports.table import result_groups
from tandem.utils.digests import read_artifact
from tandem.utils.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT = "report.html"

SCORES = r"val/[^/]+/(dice|dice_lesion|balanced_accuracy)"
"""Logged values that the learning curves show besides the losses."""


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run's folder from `results.json`, `metrics.csv`, `config.yaml` and `panels/`.

    Args:
        folder: a finished run.

    Returns:
        The page's path.
    """
    results = read_artifact(folder / "results.json")
    parts = [
        _heading(results),
        *_warnings(results),
        _table(results),
        "<h2>Dice against threshold</h2>",
        *_sweeps(results),
        *_matrices(results),
        "<h2>Learning curves</h2>",
        *_history(read_metrics(folder / "metrics.csv"), results["best_epoch"]),
        "<h2>Cases</h2><p class='note'>image, true mask, predicted mask, error: "
        "green: true positive, orange: false negative, red: false positive, grey: no truth</p>",
        *_panels(folder / "panels"),
        details("Configuration", (folder / "config.yaml").read_text(encoding="utf-8")),
        details("Versions and data", _provenance(results)),
    ]
    page = folder / REPORT
    write_text(page, document(f"tandem: {results['name']}", parts, CONFUSION_STYLE))
    return page


def _heading(results: Mapping[str, Any]) -> str:
    tasks = ", ".join(f"{name} ({_loss_name(task['loss'])})" for name, task in results["config"]["tasks"].items())
    facts = (
        f"data: {results['data'].get('name', '?')}; tasks: {tasks}; seed {results['seed']}; "
        f"best epoch {results['best_epoch']} of 0 to {results['epochs'] - 1} "
        f"by {results['monitor']}; {results['parameters']:,} parameters; "
        f"{results['seconds']:.0f} s on {results['device']}"
    )
    return f"<h1>{escape(results['name'])}</h1><p class='note'>{escape(facts)}</p>"


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


def _table(results: Mapping[str, Any]) -> str:
    body = []
    for task, group, rows in result_groups(results["metrics"], results["config"]["tasks"], read_quantities(results)):
        for index, (one, val, test) in enumerate(rows):
            cells = "".join(f"<td>{escape(cell) if index == 0 else ''}</td>" for cell in (task, group))
            numbers = "".join(f"<td class='n'>{one.text(value)}</td>" for value in (val, test))
            body.append(f"<tr{' class=first' if index == 0 else ''}>{cells}<td>{escape(one.label)}</td>{numbers}</tr>")
    head = "<th>task</th><th>images</th><th>metric</th><th class='n'>val</th><th class='n'>test</th>"
    note = (
        "<p class='note'>The threshold was chosen on validation data, on which Dice is therefore optimistic, "
        "and applied to test data. Means per image are over images with a lesion; a dash: not defined.</p>"
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f"<h2>Results of the best checkpoint</h2>{table}{note}"


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
    images = sorted(folder.glob("*.png"))
    return [image(path.read_bytes(), path.stem, css="panels") for path in images] or ["<p class='note'>None.</p>"]


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
