"""Figures of reports and trackers."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from tandem.metrics.catalogue import CATALOGUE
from tandem.reports.palette import colour, marker, style

MOST_WRITTEN = 30
"""Classes up to which a confusion matrix has numbers; 10 000 of them would take a minute to draw, and not be read."""


def sweep_figure(curve: Mapping[str, Sequence[float]], chosen: float | None = None) -> Figure:
    """Draws Dice against threshold; for a question about whole images, F1, sensitivity and specificity.

    Args:
        curve: `thresholds` and one line for each quantity that the threshold sweep draws.
        chosen: the stored threshold, marked if given.
    """
    figure, axes = _axes("threshold", "Dice" if "dice_global" in curve else "")
    drawn = [(one.curve, _numbers(curve[key])) for key, one in CATALOGUE.items() if one.curve and key in curve]
    for index, (label, values) in enumerate(drawn):
        axes.plot(curve["thresholds"], values, color=colour(index), linestyle=style(index), label=label)
    if chosen is not None:
        axes.axvline(chosen, color="0.4", linestyle="--", linewidth=1, label=f"stored threshold {chosen:.2f}")
    axes.set_ylim(*where_it_varies([values for _, values in drawn]))
    legend(axes)
    return figure


def where_it_varies(lines: Sequence[Sequence[float]], least: float = 0.1) -> tuple[float, float]:
    """Ends of the vertical axis of shares, so that lines fill it: their range, but at least a part of [0, 1].

    Args:
        lines: values in [0, 1]; nan where unknown.
        least: length of the axis, at least.

    Example:
        >>> low, high = where_it_varies([[0.80, 0.84, float("nan")]])
        >>> round(low, 3), round(high, 3)
        (0.77, 0.87)
    """
    known = [value for line in lines for value in line if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = max(0.05 * (high - low), (least - (high - low)) / 2)
    return max(0.0, low - room), min(1.0, high + room)


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def sweep_png(curve: Mapping[str, Sequence[float]], chosen: float | None = None) -> bytes:
    """Renders `sweep_figure` as PNG; cached, since trackers and the page of a run show the same figure."""
    return _sweep_png(json.dumps([dict(curve), chosen]))


@lru_cache(maxsize=16)
def _sweep_png(arguments: str) -> bytes:
    buffer = io.BytesIO()
    sweep_figure(*json.loads(arguments)).savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def history_figure(epochs: Sequence[int], lines: Mapping[str, Sequence[float]], unit: str, best: int | None) -> Figure:
    """Draws values over epochs; training curves are dashed, in the colour of the same value on validation data.

    Args:
        epochs: numbers of the epochs, from 0.
        lines: values by name.
        unit: label of the vertical axis.
        best: the best epoch, marked if given.
    """
    figure, axes = _axes("epoch", unit)
    lines_of: dict[str, int] = {}
    for name, values in lines.items():
        stage, _, rest = name.partition("/")
        index = lines_of.setdefault(rest, len(lines_of))
        dashes = "--" if stage == "train" else "-"
        few = max(1, len(epochs) // 10)  # markers that still tell lines apart where there are many epochs
        axes.plot(
            epochs, values, dashes, color=colour(index), label=name, marker=marker(index), markersize=4, markevery=few
        )
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if best is not None:
        axes.axvline(best, color="0.4", linestyle="--", linewidth=1, label=f"best epoch {best}")
    legend(axes, fontsize=8)
    return figure


def confusion_figure(matrix: npt.NDArray[np.int64], names: Sequence[str], counts: bool = True) -> Figure:
    """Draws a confusion matrix; colour shows the share of the true class.

    Args:
        matrix: (C, C); rows are true classes.
        names: names of the classes.
        counts: whether to write counts besides shares; of more than `MOST_WRITTEN` classes neither is written.
    """
    written = len(names) <= MOST_WRITTEN
    side = max(3.4, (0.75 if written else 0.16) * len(names) + 1.6)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape) if written else ():
        text = f"{shares[row, column]:.0%}"
        label = f"{matrix[row, column]}\n{text}" if counts else text
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, label, ha="center", va="center", color=colour, fontsize=9)
    turned = 0 if len(names) <= 3 else 30 if written else 90
    axes.set_xticks(range(len(names)), names, rotation=turned, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    if not written:
        axes.tick_params(labelsize=6)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def legend(axes: Any, **options: Any) -> None:
    """Adds a legend whose names are not parsed as formulas, since they may come from the data."""
    for text in axes.legend(framealpha=0.8, edgecolor="none", **options).get_texts():
        text.set_parse_math(False)


def _axes(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.2, 3.4))
    figure.subplots_adjust(left=0.16, right=0.98, bottom=0.14, top=0.97)  # a layout engine draws everything twice
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.locator_params(nbins=5)  # few ticks: they take a third of the drawing time
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
