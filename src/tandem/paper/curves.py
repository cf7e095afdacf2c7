"""Curves of a paper: a metric against a number, such as the share of images with a mask."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tandem.paper.plan import Drawn
from tandem.reports.palette import MARKERS, STYLES, colour
from tandem.study.cells import Cell

Lines = Mapping[str, Mapping[float, str]]


def curves(drawn: Drawn, cells: Mapping[str, Cell], titles: Mapping[str, str]) -> Figure:
    """Draws a row of panels for each metric: means as lines, 95 % intervals as bands, single runs as dots.

    Args:
        drawn: the figure, with its lines.
        cells: rows of its table, by name.
        titles: of the metrics, by the metric's name in the cells.
    """
    panels = _by_panel(drawn.curves or {})
    ticks = sorted({x for rows in (drawn.curves or {}).values() for x in rows})
    size = (1.0 + 3.2 * len(panels), 0.8 + 2.5 * len(titles))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(titles), len(panels), squeeze=False, sharey="row", sharex=True)
    for axes_of_metric, (metric, title) in zip(grid, titles.items(), strict=True):
        for axes, lines in zip(axes_of_metric, panels.values(), strict=True):
            for index, (label, rows) in enumerate(lines.items()):
                _line(axes, index, label, {x: cells[row] for x, row in sorted(rows.items())}, metric)
            if ticks[0] > 0 and ticks[-1] >= 8 * ticks[0]:  # a linear axis would press the small numbers together
                axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8)
        axes_of_metric[0].set_ylabel(title, fontsize=9)
    for axes, panel in zip(grid[0], panels, strict=True):
        axes.set_title(panel, fontsize=9)
        axes.legend(fontsize=8, loc="lower right")
    for axes in grid[-1]:
        axes.set_xlabel(drawn.along, fontsize=9)
    counts = sorted({len(cells[row].runs) for rows in (drawn.curves or {}).values() for row in rows.values()})
    of = f"{counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''}"
    figure.supxlabel(f"mean and 95 % t interval over runs (n = {of}); dots: each run", size=8)
    return figure


def _by_panel(lines: Lines) -> dict[str, dict[str, Mapping[float, str]]]:
    """Lines by panel and label: `fewer masks/kept` is the line `kept` of the panel `fewer masks`."""
    found: dict[str, dict[str, Mapping[float, str]]] = {}
    for name, rows in lines.items():
        panel, _, label = name.rpartition("/")
        found.setdefault(panel, {})[label] = rows
    return found


def _line(axes: Any, index: int, label: str, cells: Mapping[float, Cell], metric: str) -> None:
    colour_of_line = colour(index)
    known = {x: cell for x, cell in cells.items() if cell.known(metric)}
    for x, cell in known.items():
        values = list(cell.known(metric).values())
        axes.plot([x] * len(values), values, ".", color=colour_of_line, alpha=0.35, markersize=4)
    means = [cell.summary(metric).mean for cell in known.values()]
    style = {"color": colour_of_line, "linestyle": STYLES[index % len(STYLES)], "marker": MARKERS[index % len(MARKERS)]}
    axes.plot(list(known), means, label=label, markersize=5, linewidth=1.5, **style)
    bands = {x: cell.interval(metric) for x, cell in known.items()}
    sure = [(x, low, high) for x, (low, high) in bands.items() if not math.isnan(low)]
    if sure:
        axes.fill_between(*zip(*sure, strict=True), color=colour_of_line, alpha=0.15, linewidth=0)
