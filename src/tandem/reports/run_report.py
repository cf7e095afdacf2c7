"""One self-contained HTML page for a run, made from the files in its folder."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tandem.files import read_json, write_text
from tandem.reports.metrics_table import read_metrics
from tandem.reports.table import format_value, result_groups

REPORT = "report.html"

SCORES = r"val/[^/]+/(dice|dice_lesion|balanced_accuracy)"
"""Logged values that the learning curves show beside the losses."""

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
p.note { color: #666; margin-top: .2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: left; }
thead th { border-bottom: 1px solid #999; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr.first td { border-top: 1px solid #ddd; }
figure { margin: 0 1rem 1rem 0; display: inline-block; vertical-align: top; }
figcaption { color: #666; font-size: .85rem; }
img { max-width: 100%; } img.plot { width: 30rem; } img.panels { width: 40rem; image-rendering: pixelated; }
details { margin-top: 1rem; } pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .8rem; }
"""


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run's folder from `results.json`, `metrics.csv`, `config.yaml` and `panels/`.

    Args:
        folder: a finished run.

    Returns:
        The page's path.
    """
    results = read_json(folder / "results.json")
    parts = [
        _heading(results),
        _table(results),
        "<h2>Dice against threshold</h2>",
        *_sweeps(results),
        "<h2>Learning curves</h2>",
        *_history(read_metrics(folder / "metrics.csv"), results["best_epoch"]),
        "<h2>Cases</h2><p class='note'>picture, true mask, predicted mask, error: "
        "green found, orange missed, red invented, grey without truth</p>",
        *_panels(folder / "panels"),
        _details("Configuration", (folder / "config.yaml").read_text(encoding="utf-8")),
        _details("Versions and data", _provenance(results)),
    ]
    body = "\n".join(parts)
    title = escape(f"tandem: {results['name']}")
    page = folder / REPORT
    write_text(
        page,
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<link rel='icon' href='data:,'><style>{STYLE}</style></head><body>{body}</body></html>\n",
    )
    return page


def _heading(results: Mapping[str, Any]) -> str:
    tasks = ", ".join(f"{name} ({_loss_name(task['loss'])})" for name, task in results["config"]["tasks"].items())
    facts = (
        f"tasks: {tasks}; seed {results['seed']}; best epoch {results['best_epoch']} of 0 to {results['epochs'] - 1} "
        f"by {results['monitor']}; {results['parameters']:,} parameters; "
        f"{results['seconds']:.0f} s on {results['device']}"
    )
    return f"<h1>{escape(results['name'])}</h1><p class='note'>{escape(facts)}</p>"


def _loss_name(loss: Mapping[str, Any]) -> str:
    """The class of a loss, or of each term of a composite one."""
    terms = loss.get("terms")
    if terms:
        return " + ".join(_loss_name(term) for term in terms.values())
    return str(loss["_target_"]).rpartition(".")[2]


def _table(results: Mapping[str, Any]) -> str:
    body = []
    for task, group, rows in result_groups(results["metrics"], results["config"]["tasks"]):
        for index, (name, val, test) in enumerate(rows):
            cells = "".join(f"<td>{escape(cell) if index == 0 else ''}</td>" for cell in (task, group))
            numbers = "".join(f"<td class='n'>{format_value(value)}</td>" for value in (val, test))
            body.append(f"<tr{' class=first' if index == 0 else ''}>{cells}<td>{escape(name)}</td>{numbers}</tr>")
    head = "<th>task</th><th>images</th><th>metric</th><th class='n'>val</th><th class='n'>test</th>"
    note = (
        "<p class='note'>The threshold was chosen on validation data, on which Dice is therefore optimistic, "
        "and applied to test data. Means per image are over images with a lesion; a dash: nothing can be known.</p>"
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f"<h2>Results of the best checkpoint</h2>{table}{note}"


def _sweeps(results: Mapping[str, Any]) -> list[str]:
    from tandem.reports.figures import sweep_figure

    parts = []
    for prefix, curve in results["curves"].items():
        chosen = results["metrics"].get(f"{prefix}/threshold")
        parts.append(_figure(sweep_figure(curve, chosen), prefix))
    return parts or ["<p class='note'>No task with a threshold.</p>"]


def _history(rows: Sequence[Mapping[str, str]], best: int) -> list[str]:
    from tandem.reports.figures import history_figure

    if not rows:
        return ["<p class='note'>No epoch was recorded.</p>"]
    epochs = [int(row["epoch"]) for row in rows]
    columns = [key for key in rows[-1] if "/" in key]
    losses = [key for key in columns if key.endswith("/loss")]
    scores = [key for key in columns if re.fullmatch(SCORES, key)]
    figures = []
    for caption, keys in (("loss", losses), ("validation scores", scores)):
        lines = {key: [float(row[key]) if row[key] else float("nan") for row in rows] for key in keys}
        figures.append(_figure(history_figure(epochs, lines, caption, best), caption))
    return figures


def _panels(folder: Path) -> list[str]:
    pictures = sorted(folder.glob("*.png"))
    return [_image(path.read_bytes(), path.stem, css="panels") for path in pictures] or ["<p class='note'>None.</p>"]


def _figure(figure: Any, caption: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return _image(buffer.getvalue(), caption, css="plot")


def _image(png: bytes, caption: str, css: str) -> str:
    data = base64.b64encode(png).decode()
    shown = escape(caption)
    return (
        f"<figure><img class='{css}' alt='{shown}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{shown}</figcaption></figure>"
    )


def _details(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def _provenance(results: Mapping[str, Any]) -> str:
    lines = [f"{name} {number}" for name, number in results["versions"].items()]
    git = results["git"]
    lines.append(f"git {git['commit']}{' with changes' if git['changed'] else ''}" if git else "no git checkout")
    lines += [f"threads {results['threads']}", results["platform"]]
    lines += [f"data {split}: {value}" for split, value in results["data"]["fingerprint"].items()]
    return "\n".join(lines)
