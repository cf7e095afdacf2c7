"""Charts of a metric over the swept hyperparameters: heat maps, main effects, parallel coordinates."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from tandem.reports.palette import BLUE, SKY
from tandem.study.analysis import Analysis
from tandem.study.cells import Cell, show_replicate
from tandem.study.report.charts import NEUTRAL, RISING, SCALE, Chart, Trace, axis, known, layout, safe, switched
from tandem.study.swept_params import ABSENT, order_of, show_value

ACROSS = 3
"""Panels side by side."""


def heat_maps(analysis: Analysis) -> Chart | None:
    """Draws means over two hyperparameters, a panel for each choice of the others; None if fewer than two were swept.

    The two are the first with numbers, such as gamma and alpha. Cells that have no such hyperparameter are left out.

    Args:
        analysis: of the study.
    """
    if len(analysis.params) < 2:
        return None
    down, across = _axes_of(analysis)
    cells = [cell for cell in analysis.cells if ABSENT not in (cell.values[down], cell.values[across])]
    rest = [place for place in range(len(analysis.params)) if place not in (down, across)]
    panels: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        panels.setdefault(tuple(cell.values[place] for place in rest), []).append(cell)
    panels = {choice: inside for choice, inside in panels.items() if len(inside) > 1} or panels
    shown = [cell for inside in panels.values() for cell in inside]
    if not shown:
        return None
    labels, ticks = list(analysis.params.values()), (_values(shown, down), _values(shown, across))
    columns = min(ACROSS, len(panels))
    rows = math.ceil(len(panels) / columns)
    base = layout(130 + 270 * rows, annotations=[])
    for number, choice in enumerate(panels):
        suffix, x, y = _panel(number, rows, columns, room=0.1 if columns > 1 else 0)
        said = [
            f"{labels[place]}={show_value(value)}"
            for place, value in zip(rest, choice, strict=True)
            if len({cell.values[place] for cell in shown}) > 1
        ]
        base[f"xaxis{suffix}"] = _category(labels[across], ticks[1], domain=x, anchor=f"y{suffix}", showgrid=False)
        base[f"yaxis{suffix}"] = _category(labels[down], ticks[0], domain=y, anchor=f"x{suffix}", showgrid=False)
        base["annotations"].append(heading(", ".join(said), x, y))
    groups = {
        analysis.words(name): [
            _heat(analysis, name, inside, shown, (down, across), number)
            for number, inside in enumerate(panels.values())
        ]
        for name in analysis.metrics
    }
    return switched(groups, base)


def main_effects(analysis: Analysis) -> Chart | None:
    """For each hyperparameter the cells at each of its values, and the mean over them; None where nothing was swept.

    Args:
        analysis: of the study.
    """
    if not analysis.params:
        return None
    columns = min(ACROSS, len(analysis.params))
    rows = math.ceil(len(analysis.params) / columns)
    base = layout(130 + 250 * rows, showlegend=False)
    for number, label in enumerate(analysis.params.values()):
        suffix, x, y = _panel(number, rows, columns, room=0.06 if columns > 1 else 0)
        ticks = _values(analysis.cells, number)
        base[f"xaxis{suffix}"] = _category(label, ticks, domain=x, anchor=f"y{suffix}")
        matched = {"matches": "y"} if number else {}
        base[f"yaxis{suffix}"] = axis("", domain=y, anchor=f"x{suffix}", **matched)
    groups = {
        analysis.words(name): [
            trace for place in range(len(analysis.params)) for trace in _effect(name, analysis, place)
        ]
        for name in analysis.metrics
    }
    return switched(groups, base)


def parallel(analysis: Analysis) -> Chart | None:
    """A line a cell through its hyperparameters and metrics; those without some hyperparameter or metric are left out.

    Args:
        analysis: of the study.
    """
    known_all = (cell for cell in analysis.cells if all(cell.summary(name).n for name in analysis.metrics))
    cells = [cell for cell in known_all if ABSENT not in cell.values]
    if not analysis.params or len(cells) < 2:
        return None
    dimensions = []
    for place, label in enumerate(analysis.params.values()):
        if len(ticks := _values(cells, place)) < 2:
            continue
        values = [ticks.index(safe(show_value(cell.values[place]))) for cell in cells]
        ends = {"tickvals": list(range(len(ticks))), "ticktext": ticks, "range": [-0.2, max(len(ticks) - 0.8, 0.2)]}
        dimensions.append({"label": safe(label), "values": values, **ends})
    for name in analysis.metrics:
        means = [cell.summary(name).mean for cell in cells]
        dimensions.append(
            {"label": safe(analysis.words(name)), "values": means, "tickformat": analysis.quantity(name).format}
        )
    shown = analysis.metrics[0]
    bar = {"thickness": 12, "title": {"text": safe(analysis.words(shown)), "side": "right"}}
    line = {
        "color": [cell.summary(shown).mean for cell in cells], "colorscale": RISING, "showscale": True,
        "reversescale": analysis.quantity(shown).sign < 0, "colorbar": bar,
    }  # fmt: skip
    trace = {"type": "parcoords", "dimensions": dimensions, "line": line, "labelangle": -16}
    left = max((len(show_value(cell.values[0])) for cell in cells), default=0)
    return Chart([trace], layout(480, margin={"l": max(70, min(7 * left, 200)), "r": 30, "t": 110, "b": 30}))


def _axes_of(analysis: Analysis) -> tuple[int, int]:
    """Returns the hyperparameters of the vertical and of the horizontal axis."""
    columns = list(zip(*(cell.values for cell in analysis.cells), strict=True))
    numeric = [place for place, column in enumerate(columns) if all(order_of(value)[0] == 0 for value in column)]
    first, second = [*numeric, *(place for place in range(len(columns)) if place not in numeric)][:2]
    return first, second


def _values(cells: Sequence[Cell], place: int) -> list[str]:
    """What stands on a hyperparameter's axis, in its order."""
    ordered = sorted({cell.values[place] for cell in cells} - {ABSENT}, key=order_of)
    return [safe(show_value(value)) for value in ordered]


def _category(title: str, ticks: Sequence[str], **more: Any) -> dict[str, Any]:
    ends = [-0.5, len(ticks) - 0.5]
    return axis(title, type="category", categoryarray=ticks, range=ends, **more)


def _heat(
    analysis: Analysis, name: str, cells: Sequence[Cell], shown: Sequence[Cell], places: tuple[int, int], number: int
) -> Trace:
    one = analysis.quantity(name)
    ys, xs = (_values(shown, place) for place in places)
    at = {tuple(safe(show_value(cell.values[place])) for place in places): cell for cell in cells}
    z: list[list[float | None]] = [[None] * len(xs) for _ in ys]
    texts = [[""] * len(xs) for _ in ys]
    hover = [["no run"] * len(xs) for _ in ys]
    for (row, y), (column, x) in itertools.product(enumerate(ys), enumerate(xs)):
        if (cell := at.get((y, x))) and (found := cell.summary(name)).n:
            z[row][column], texts[row][column] = found.mean, one.text(found.mean)
            hover[row][column] = describe(analysis, cell, name)
    low, high = colour_range(name, shown)
    suffix = _suffix(number)
    return {
        "type": "heatmap", "x": xs, "y": ys, "z": z, "text": texts, "customdata": hover, "texttemplate": "%{text}",
        "hovertemplate": "%{customdata}<extra></extra>", "reversescale": one.sign < 0,
        "colorscale": SCALE if one.sign else NEUTRAL,
        "zmin": low, "zmax": high, "xgap": 2, "ygap": 2,
        "showscale": number == 0, "colorbar": {"thickness": 12, "tickformat": one.format},
        "xaxis": f"x{suffix}", "yaxis": f"y{suffix}",
    }  # fmt: skip


def colour_range(name: str, cells: Sequence[Cell]) -> tuple[float, float]:
    """Ends of a colour scale: those of the cells' means, but no closer than the median 95 % interval of a mean.

    Args:
        name: of the metric, as it is logged.
        cells: that are drawn.
    """
    means = [found.mean for cell in cells if (found := cell.summary(name)).n]
    if not means:
        return 0.0, 1.0
    ends = [cell.interval(name) for cell in cells]
    widths = sorted(high - low for low, high in ends if math.isfinite(high - low))
    noise = widths[len(widths) // 2] if widths else 0.0
    room = max(0.0, (noise - (max(means) - min(means))) / 2)
    return min(means) - room, max(means) + room


def _effect(name: str, analysis: Analysis, place: int) -> list[Trace]:
    found = [cell for cell in analysis.cells if cell.summary(name).n and cell.values[place] != ABSENT]
    runs = [(cell, replicate, value) for cell in found for replicate, value in cell.known(name).items()]
    suffix = _suffix(place)
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "hovertemplate": "%{customdata}<extra></extra>"}
    dots = {
        "type": "scatter", "mode": "markers", "x": [safe(show_value(cell.values[place])) for cell, *_ in runs],
        "y": [value for *_, value in runs],
        "customdata": [f"{safe(cell.label)}<br>{safe(show_replicate(key))}: {value:.4f}" for cell, key, value in runs],
        "marker": {"color": SKY, "size": 6, "opacity": 0.6}, **axes,
    }  # fmt: skip
    ticks = _values(analysis.cells, place)
    numeric = all(order_of(cell.values[place])[0] == 0 for cell in found)
    at: dict[str, list[float]] = {tick: [] for tick in ticks}
    for cell in found:
        at[safe(show_value(cell.values[place]))].append(cell.summary(name).mean)
    means = [(math.fsum(at[tick]) / len(at[tick]) if at[tick] else math.nan, len(at[tick])) for tick in ticks]
    line = {
        "type": "scatter", "mode": "lines+markers" if numeric else "markers",
        "x": ticks, "y": [known(mean) for mean, _ in means],
        "customdata": [f"mean of {count} cells: {mean:.4f}" for mean, count in means],
        "line": {"color": BLUE, "width": 2}, "marker": {"size": 10, "symbol": "diamond"}, **axes,
    }  # fmt: skip
    return [dots, line]


def describe(analysis: Analysis, cell: Cell, name: str) -> str:
    """A cell in a hover box: its choice, mean ± deviation, and each run's value."""
    found, one = cell.summary(name), analysis.quantity(name)
    spread = "" if math.isnan(found.std) else f" ± {one.text(found.std)}"
    lines = [
        cell.label,
        f"{analysis.words(name)}: {one.text(found.mean)}{spread} (n={found.n})",
        *cell.detail(name).split("; "),
    ]
    return "<br>".join(map(safe, lines[:14]))


def _suffix(number: int) -> str:
    return "" if number == 0 else str(number + 1)


def _panel(number: int, rows: int, columns: int, room: float) -> tuple[str, list[float], list[float]]:
    """Suffix of a panel's axes, and where it lies in the chart, from the top left."""
    row, column = divmod(number, columns)
    wide, high = 1 / columns, 1 / rows
    above = 0.28 * high if rows > 1 else 0
    x = [column * wide + (room * wide if column else 0), (column + 1) * wide - room * wide * (column + 1 < columns)]
    bottom = 1 - (row + 1) * high
    return _suffix(number), x, [bottom + (above if row + 1 < rows else 0), bottom + high - (0.04 if rows > 1 else 0)]


def heading(words: str, x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    """Words over a panel, which lies between the ends of `x` and `y` in the chart."""
    place = {"x": sum(x) / 2, "y": y[1], "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "bottom"}
    return {"text": safe(words), "showarrow": False, "font": {"size": 13}, **place}
