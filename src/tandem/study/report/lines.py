"""Charts of runs: learning curves, Dice against threshold, what is traded for what, differences to a baseline."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.reports.metrics_table import read_metrics
from tandem.reports.palette import DASHES, SKY, VERMILION
from tandem.study.analysis import Analysis
from tandem.study.cells import Cell, show_replicate
from tandem.study.pareto import pareto
from tandem.study.report.charts import Chart, Trace, axis, colours, layout, safe, switched
from tandem.study.report.grids import describe
from tandem.study.runs import Run

SYMBOLS = dict(zip(DASHES, ("circle", "square", "triangle-up", "diamond", "x"), strict=True))
"""The marker that goes with each dash."""

FAINT = "rgba(128, 128, 128, 0.45)"
"""Of bars behind dots, on light and dark pages."""

FEW = 12
"""Below so many epochs each has its tick."""


def learning_curves(analysis: Analysis) -> Chart | None:
    """Every run's validation numbers and losses over its epochs, from its `metrics.csv`; None where there is none.

    Args:
        analysis: of the study.
    """
    wanted = ["val/" + name.removeprefix("test/") for name in analysis.headlines.values()] + ["val/loss", "train/loss"]
    tables = {run.folder: _columns(run.folder / "metrics.csv", wanted) for _, run, _, _ in _runs(analysis.cells)}
    groups: dict[str, list[Trace]] = {}
    for name in wanted:
        for cell, run, said, style in _runs(analysis.cells):
            x, y = tables[run.folder].get(name, ((), ()))
            if len(x):
                trace = _line(cell, style, x, y)
                trace |= {"mode": "lines+markers" if 1 < len(x) < FEW else "lines" if len(x) > 1 else "markers"}
                trace |= {
                    "customdata": [f"{said}<br>epoch {epoch:g}: {value:.4f}" for epoch, value in zip(x, y, strict=True)]
                }
                groups.setdefault(analysis.words(name), []).append(trace)
    last = max((trace["x"][-1] for traces in groups.values() for trace in traces), default=0)
    ticks = {"dtick": 1} if last < FEW else {}  # else plotly writes fractions of an epoch
    base = layout(480, xaxis=axis("epoch", **ticks), yaxis=axis(""), legend=_legend(analysis))
    return switched(_with_legend(groups), base) if groups else None


def threshold_curves(analysis: Analysis) -> Chart | None:
    """Every run's Dice (F1 of questions about whole images) against the threshold, with the chosen one as a dot.

    Args:
        analysis: of the study.
    """
    groups: dict[str, list[Trace]] = {}
    for cell, run, said, style in _runs(analysis.cells):
        for prefix, curve in _curves(run):
            for name, y in curve.items():
                if name == "thresholds":
                    continue
                x = curve["thresholds"]
                told = [f"{said}<br>at {at:.3g}: {_digits(value)}" for at, value in zip(x, y, strict=True)]
                traces = [{**_line(cell, style, x, y), "mode": "lines", "customdata": told}]
                chosen = run.metrics.get(f"{prefix}/threshold")
                if chosen is not None:
                    place = min(range(len(x)), key=lambda index: abs(x[index] - chosen))
                    dot = {**_line(cell, style, [x[place]], [y[place]]), "mode": "markers", "customdata": [told[place]]}
                    traces.append({**dot, "marker": {"size": 8, "color": style["color"]}})
                groups.setdefault(analysis.words(f"{prefix}/{name}"), []).extend(traces)
    ordered = dict(sorted(groups.items(), key=lambda item: not item[0].startswith("val ")))
    base = layout(480, xaxis=axis("threshold"), yaxis=axis(""), legend=_legend(analysis))
    return switched(_with_legend(ordered), base) if groups else None


def front(analysis: Analysis) -> Chart | None:
    """The means of two tasks' headlines against each other, and which no other beats in both; None below two cells.

    Args:
        analysis: of the study.
    """
    names = sorted(analysis.headlines.values(), key=lambda name: not name.endswith("/dice"))[:2]
    if len(names) < 2:
        return None
    groups = {}
    for stage, words in (("val", "validation data"), ("test", "test data")):
        x, y = (stage + name.removeprefix("test") for name in names)
        cells = [cell for cell in analysis.cells if cell.summary(x).n and cell.summary(y).n]
        if len(cells) > 1:
            groups[words] = _front(analysis, x, y, cells)
    base = layout(480, xaxis=axis(analysis.words(names[0])), yaxis=axis(analysis.words(names[1])), showlegend=False)
    return switched(groups, base) if groups else None


def forest(analysis: Analysis) -> Chart | None:
    """Paired differences to the baseline with their intervals; None without one.

    Args:
        analysis: of the study.
    """
    groups = {}
    most = 0
    for name, comparisons in analysis.comparisons.items():
        found = [one for one in comparisons if one.paired.n]
        most = max(most, len(found))
        ends = [(one.paired.difference, one.paired.low, one.paired.high) for one in found]
        groups[analysis.words(name)] = [
            {
                "type": "scatter", "mode": "markers", "x": [middle for middle, _, _ in ends],
                "y": [safe(one.cell.short) for one in found], "marker": {"size": 9, "color": "#2171b5"},
                "error_x": {
                    "type": "data", "symmetric": False, "color": "#9ecae1", "width": 0,
                    "array": [_or_0(high - middle) for middle, _, high in ends],
                    "arrayminus": [_or_0(middle - low) for middle, low, _ in ends],
                },
                "customdata": [
                    f"{safe(one.cell.label)}<br>{one.paired.difference:+.4f}, 95 % {_digits(one.paired.low)} to "
                    f"{_digits(one.paired.high)}<br>{one.pairs} pairs, p (Holm) {_digits(one.holm)}<br>{one.verdict}"
                    for one in found
                ],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        ]  # fmt: skip
    if not most:
        return None
    zero = {
        "type": "line",
        "x0": 0,
        "x1": 0,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "#999", "dash": "dot"},
    }
    base = layout(
        160 + 26 * most,
        xaxis=axis("cell minus baseline"),
        yaxis=axis(" · ".join(analysis.params.values()), type="category", autorange="reversed"),
    )
    return switched(groups, {**base, "shapes": [zero]})


def _front(analysis: Analysis, x: str, y: str, cells: Sequence[Cell]) -> list[Trace]:
    """The cells as dots, and the line through those that no other beats; none where a direction is unknown."""
    signs = analysis.quantity(x).sign, analysis.quantity(y).sign
    points = [(signs[0] * cell.summary(x).mean, signs[1] * cell.summary(y).mean) for cell in cells]
    best = pareto(points) if all(signs) else []
    hover = {"hovertemplate": "%{customdata}<extra></extra>"}
    told = [f"{describe(analysis, cell, x)}<br>{describe(analysis, cell, y).partition('<br>')[2]}" for cell in cells]
    means = [(cell.summary(x).mean, cell.summary(y).mean) for cell in cells]
    spread = [(_or_0(cell.summary(x).std), _or_0(cell.summary(y).std)) for cell in cells]
    dots = {
        "type": "scatter", "mode": "markers", "customdata": told, **hover,
        "x": [at for at, _ in means], "y": [at for _, at in means],
        "error_x": {"type": "data", "array": [std for std, _ in spread], "color": FAINT, "width": 0},
        "error_y": {"type": "data", "array": [std for _, std in spread], "color": FAINT, "width": 0},
        "marker": {
            "size": 10, "color": [VERMILION if place in best else SKY for place in range(len(cells))],
            "symbol": ["diamond" if place in best else "circle" for place in range(len(cells))],
        },
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip",
        "x": [means[place][0] for place in best], "y": [means[place][1] for place in best],
        "line": {"color": VERMILION, "width": 1, "dash": "dot"},
    }  # fmt: skip
    return [line, dots]


def _runs(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Run, str, dict[str, Any]]]:
    """Each run with its cell, what a hover box calls it, and how its lines look."""
    for index, (cell, colour) in enumerate(zip(cells, colours(len(cells)), strict=True)):
        style = {"color": colour, "width": 1.5, "dash": DASHES[index % len(DASHES)]}
        for replicate, run in cell.runs.items():
            yield cell, run, f"{safe(cell.label)}<br>{safe(show_replicate(replicate))}", style


def _line(cell: Cell, style: Mapping[str, Any], x: Sequence[Any], y: Sequence[Any]) -> Trace:
    marker = {"color": style["color"], "symbol": SYMBOLS[style["dash"]]}
    return {
        "type": "scatter", "x": x, "y": y, "name": safe(cell.short), "legendgroup": safe(cell.short), "line": style,
        "marker": marker, "opacity": 0.8, "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _legend(analysis: Analysis) -> dict[str, Any]:
    names = safe(" · ".join(analysis.params.values()))
    return {"title": {"text": names, "font": {"size": 12}}, "font": {"size": 11}, "tracegroupgap": 0}


def _with_legend(groups: Mapping[str, Sequence[Trace]]) -> dict[str, list[Trace]]:
    """Each cell once in the legend of each group."""
    found = {}
    for label, traces in groups.items():
        first = {trace["name"]: place for place, trace in reversed(list(enumerate(traces)))}
        found[label] = [{**trace, "showlegend": first[trace["name"]] == place} for place, trace in enumerate(traces)]
    return found


def _columns(path: Path, names: Sequence[str]) -> dict[str, tuple[list[float], list[float]]]:
    """Epochs and values of some columns of a `metrics.csv`, without those that are unknown."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in read_metrics(path):
        for name in names:
            epoch, value = _float(row.get("epoch")), _float(row.get(name))
            if math.isfinite(epoch) and math.isfinite(value):
                x, y = found.setdefault(name, ([], []))
                x.append(epoch)
                y.append(value)
    return found


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _curves(run: Run) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """The lines over thresholds of a run, as far as they are whole; None where a value is unknown."""
    curves = run.results.get("curves")
    for prefix, curve in (curves if isinstance(curves, dict) else {}).items():
        lists = (
            {name: line for name, line in curve.items() if isinstance(line, list)} if isinstance(curve, dict) else {}
        )
        count = len(lists.get("thresholds", ()))
        whole = {name: [_finite(value) for value in line] for name, line in lists.items() if len(line) == count > 0}
        if None not in whole.get("thresholds", [None]):
            yield prefix, whole


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _or_0(length: float) -> float:
    """The length of a bar; an unknown one is not drawn (plotly makes a broken path of a null)."""
    return length if math.isfinite(length) else 0.0


def _digits(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
