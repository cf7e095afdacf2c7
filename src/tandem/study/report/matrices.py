"""Confusion matrices of a study's cells, side by side."""

import math
from typing import Any

import numpy as np

from tandem.study.analysis import Analysis
from tandem.study.classes import Matrix, matrices
from tandem.study.report.charts import SCALE, Chart, Trace, axis, layout, safe
from tandem.study.report.grids import heading

ACROSS = 2
MOST = 12
"""Panels that are drawn, those of the chosen cell and the baseline first."""

ROOM, GAP = 210, 0.18
"""Height in pixels of what is around a panel, and the share of the chart's width between two."""

WRITTEN = 12
"""Of more classes than these, numbers are shown where one points only."""

LONGEST = 22
"""Letters of a class on an axis; the whole name is shown where one points."""


def confusion_matrices(analysis: Analysis) -> Chart | None:
    """A panel for each task and cell, added over seeds and folds; None where no run left any.

    Colour: the share of the true class. Number: images, or pixels if each pixel has a class.

    Args:
        analysis: of the study.
    """
    first = (analysis.chosen, analysis.baseline)
    found = sorted(matrices(analysis), key=lambda matrix: matrix.cell not in first)[:MOST]
    if not found:
        return None
    several = len({matrix.task for matrix in found}) > 1
    columns = min(ACROSS, len(found))
    rows = math.ceil(len(found) / columns)
    base = layout(110 + rows * (ROOM + 26 * min(WRITTEN, max(len(one.classes) for one in found))), annotations=[])
    for number, one in enumerate(found):
        suffix, x, y = _panel(number, rows, columns)
        titles = ("predicted" if number + columns >= len(found) else "", "true" if number % columns == 0 else "")
        base[f"xaxis{suffix}"] = _names(titles[0], one, domain=x, anchor=f"y{suffix}", tickangle=-30)
        base[f"yaxis{suffix}"] = _names(titles[1], one, domain=y, anchor=f"x{suffix}", autorange="reversed")
        base["annotations"].append(heading(f"{one.task}: {one.cell.label}" if several else one.cell.label, x, y))
    return Chart([_heat(one, number) for number, one in enumerate(found)], base)


def _panel(number: int, rows: int, columns: int) -> tuple[str, list[float], list[float]]:
    """Suffix of a panel's axes, and where it lies in the chart; names of classes have room to its left and below it."""
    row, column = divmod(number, columns)
    wide, top = (1 - GAP * (columns - 1)) / columns, 1 - row / rows
    left = column * (wide + GAP)
    return "" if number == 0 else str(number + 1), [left, left + wide], [top - 0.58 / rows, top]


def _names(title: str, matrix: Matrix, **more: Any) -> dict[str, Any]:
    short = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in matrix.classes]
    ticks = {"tickvals": list(range(len(short))), "ticktext": [safe(name) for name in short]}
    return axis(title, showgrid=False, **ticks, **more)


def _heat(matrix: Matrix, number: int) -> Trace:
    total = matrix.counts.sum(1, keepdims=True)
    shares = matrix.counts / np.maximum(total, 1)
    hover = [
        [
            f"true {true}, predicted {taken}: {count} of {total[row, 0]} ({shares[row, column]:.1%})"
            for column, (taken, count) in enumerate(zip(matrix.classes, counts, strict=True))
        ]
        for row, (true, counts) in enumerate(zip(matrix.classes, matrix.counts.tolist(), strict=True))
    ]
    suffix = "" if number == 0 else str(number + 1)
    return {
        "type": "heatmap", "z": shares.tolist(), "text": matrix.counts.tolist(), "colorscale": SCALE,
        "texttemplate": "%{text}" if len(matrix.classes) <= WRITTEN else "", "zmin": 0, "zmax": 1,
        "customdata": [[safe(words) for words in row] for row in hover],
        "hovertemplate": "%{customdata}<extra></extra>", "xgap": 1, "ygap": 1,
        "showscale": number == 0, "colorbar": {"thickness": 12, "tickformat": ".0%"},
        "xaxis": f"x{suffix}", "yaxis": f"y{suffix}",
    }  # fmt: skip
