"""Figures of an evaluation's report; each takes plain numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from tandem.reports.figures import legend, where_it_varies
from tandem.reports.palette import colour, marker, style

Lines = Mapping[str, Mapping[str, Any]]
Points = Mapping[str, Mapping[str, float]]

BANDS = "bands: 95 % intervals"
"""What the shaded parts of a curve are, for captions."""


def roc(lines: Lines, points: Points) -> Figure:
    """Sensitivity against false positive rate.

    Args:
        lines: `sensitivity` and `false_positive_rate` by name, from the highest score down, and the `band` of their
            interval, if there is one; see `tandem.evaluate.curve_bands`.
        points: operating point by name.
    """
    figure, axes = _axes("1 - specificity", "sensitivity", square=True)
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1)
    for index, (name, line) in enumerate(lines.items()):
        x, y = [0.0, *line["false_positive_rate"]], [0.0, *line["sensitivity"]]
        axes.plot(x, y, color=colour(index), linestyle=style(index), label=name, linewidth=1.4)
        _band(axes, line.get("band", {}), "at", "sensitivity", colour(index))
        if name in points:
            axes.plot(
                points[name]["false_positive_rate"], points[name]["sensitivity"], "o", color=colour(index), mec="black"
            )
    _legend(axes, lines, "lower right")
    return figure


def precision_recall(lines: Lines, points: Points) -> Figure:
    """Precision against recall; the arguments are those of `roc`, each with `precision`."""
    figure, axes = _axes("recall", "precision", square=True)
    for index, (name, line) in enumerate(lines.items()):
        rising = np.flatnonzero(np.diff([0.0, *line["sensitivity"]]) > 0)  # the points that average precision uses
        x, y = ([values[place] for place in rising.tolist()] for values in (line["sensitivity"], line["precision"]))
        x, y = [0.0, *x], [*y[:1], *y]
        axes.step(x, y, where="pre", color=colour(index), linestyle=style(index), label=name, linewidth=1.4)
        _band(axes, line.get("band", {}), "at", "precision", colour(index))
        if name in points:
            axes.plot(points[name]["sensitivity"], points[name]["precision"], "o", color=colour(index), mec="black")
    _legend(axes, lines, "lower left")
    return figure


def reliability(lines: Lines) -> Figure:
    """Observed frequency against mean predicted probability in bins, and the number of predictions in each bin.

    Args:
        lines: `probability`, `share` and `count` by name, and `share.low` and `share.high` of the interval, if known.
    """
    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1)
    for index, (name, line) in enumerate(lines.items()):
        drawn = {"marker": marker(index), "linestyle": style(index), "color": colour(index)}
        axes.plot(line["probability"], line["share"], markersize=4, label=name, **drawn)
        _band(axes, line, "probability", "share", colour(index))
        below.plot(line["probability"], line["count"], markersize=3, **drawn)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed frequency")
    below.set(xlabel="mean predicted probability", ylabel="count")
    counts = [count for line in lines.values() for count in line["count"] if count]
    if counts and max(counts) > 30 * min(counts):
        below.set_yscale("log")
        below.yaxis.set_major_locator(LogLocator(numticks=3))
        below.yaxis.set_minor_formatter(NullFormatter())  # its labels would overlap
    else:
        below.set_ylim(bottom=0)
        below.locator_params(axis="y", nbins=2)
    for part in (axes, below):
        _plain(part)
    _legend(axes, lines, "upper left")
    return figure


def sweep(line: Mapping[str, Sequence[Any]], labels: Mapping[str, str], chosen: float, unit: str) -> Figure:
    """Metrics against threshold, with their intervals.

    Args:
        line: `thresholds`, and for each key of `labels` the values, `<key>.low` and `<key>.high`.
        labels: labels in the legend.
        chosen: the applied threshold.
        unit: label of the vertical axis.
    """
    figure, axes = _axes("threshold", unit)
    at = np.asarray(line["thresholds"])
    for index, (key, label) in enumerate(labels.items()):
        _band(axes, line, "thresholds", key, colour(index))
        axes.plot(at, np.array(line[key], dtype=float), linestyle=style(index), color=colour(index), label=label)
    axes.axvline(chosen, color="0.4", linestyle="--", linewidth=1, label=f"applied: {chosen:.3g}")
    ends = [line[f"{key}{end}"] for key in labels for end in ("", ".low", ".high") if f"{key}{end}" in line]
    axes.set_ylim(*where_it_varies([np.array(values, dtype=float).tolist() for values in ends]))
    legend(axes, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1)  # not over the curves
    return figure


def against_size(
    area: npt.NDArray[np.float64], dice: npt.NDArray[np.float64], classes: Sequence[str], known: Sequence[str] = ()
) -> Figure:
    """Dice of each image with a lesion against the lesion's relative area, with the mean of each third by area.

    Args:
        area: (M,) area of the lesion as a share of the image.
        dice: (M,) Dice, nan without lesion.
        classes: M class names; empty where unknown.
        known: all class names in the data's order, so that a class has one colour on all figures of a page.
    """
    figure, axes = _axes("lesion area, of the image (logarithmic)", "Dice")
    shown = ~np.isnan(dice)
    names = np.array(classes)
    for index, name in enumerate(dict.fromkeys([*known, *names[shown].tolist()])):
        these = shown & (names == name)
        if these.any():
            _dots(axes, index, name or "unknown class", area[these], dice[these])
    order = np.flatnonzero(shown)[np.argsort(area[shown])]
    for index, third in enumerate(part for part in np.array_split(order, 3) if len(part)):
        label = "mean of each third by area" if index == 0 else None
        ends = [area[third].min(), area[third].max()]
        axes.plot(ends, [dice[third].mean()] * 2, color="black", linewidth=2, label=label)
    if shown.any():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.xaxis.set_minor_locator(NullLocator())
        legend(axes, fontsize=8)
    axes.set_ylim(-0.02, 1.02)
    return figure


def agreement(predicted: npt.NDArray[np.float64], true: npt.NDArray[np.float64], classes: Sequence[str]) -> Figure:
    """Predicted against true values.

    Args:
        predicted: (M,) predicted values.
        true: (M,) true values.
        classes: M class names; empty where unknown.
    """
    figure, axes = _axes("true", "predicted")
    names = np.array(classes)
    for index, name in enumerate(dict.fromkeys(names.tolist())):
        these = names == name
        _dots(axes, index, name or "images", true[these], predicted[these])
    ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
    axes.plot(ends, ends, color="0.75", linewidth=1)
    legend(axes, fontsize=8)
    return figure


def places(points: npt.NDArray[np.float64], classes: Sequence[str]) -> Figure:
    """Scatter plot of embedded images.

    Args:
        points: (M, 2) coordinates.
        classes: M class names.
    """
    figure, axes = _axes("first principal component", "second principal component")
    names = np.array(classes)
    for index, name in enumerate(dict.fromkeys(names.tolist())):
        _dots(axes, index, name, *points[names == name].T)
    legend(axes, fontsize=8)
    return figure


def _dots(axes: Any, index: int, name: str, x: Any, y: Any) -> None:
    """Draws the images of one class."""
    axes.plot(x, y, marker(index), color=colour(index), markersize=4, alpha=0.6, label=name)


def _band(axes: Any, line: Mapping[str, Any], x: str, y: str, colour: str) -> None:
    """Fills the interval of a line where it is known."""
    if f"{y}.low" in line:
        low, high = (np.array(line[f"{y}.{side}"], dtype=float) for side in ("low", "high"))
        axes.fill_between(line[x], low, high, color=colour, alpha=0.15, linewidth=0)


def _axes(x: str, y: str, square: bool = False) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.4, 4.4) if square else (5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if square:
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    _plain(axes)
    return figure, axes


def _plain(axes: Any) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Any, lines: Mapping[str, Any], place: str) -> None:
    if lines:
        legend(axes, fontsize=8, loc=place)
    else:
        axes.text(0.5, 0.5, "nothing to draw:\nno positives or no negatives", ha="center", transform=axes.transAxes)
