"""Draws the curves of a loss and the bars of gradient shares."""

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tandem.explain_loss.explanation import Explanation
from tandem.explain_loss.regions import REGIONS
from tandem.explain_loss.shares import HARDNESS, Moment, Shares
from tandem.explain_loss.tables import PIXELS
from tandem.explain_loss.worked import worked_mask
from tandem.reports.palette import BLUE, LINES, ORANGE, VERMILION, marker

COLOURS = {"lesion": VERMILION, "border": ORANGE, "background": BLUE}
"""Colour of each region; easy pixels have a light shade of it."""

WIDTH = 11.0
"""Width of a figure in inches."""

TITLE_LINE = 95
"""Characters that fit into one line of a title."""

HIGHEST = 5.0
"""Upper limit of the axis of a pixel's loss, since logarithms are unbounded."""

DASHED = "dashed: loss of a\n7 x 7 image, see page\n"
"""Title of the legend if a pixel's loss depends on other pixels."""

LABELLED = 0.06
"""Larger shares are written into their bar."""


def draw_curves(figure: Any, explanation: Explanation) -> None:
    """Draws loss above gradient, one column for each kind of pixel, one colour and marker for each setting.

    Args:
        figure: a figure or a part of one.
        explanation: the content.
    """
    curves = explanation.curves
    columns = len(next(iter(curves.values())))
    axes = figure.subplots(2, columns, sharex="col", sharey="row", squeeze=False)
    for index, ((label, several), colour) in enumerate(zip(curves.items(), _line_colours(list(curves)), strict=True)):
        for column, curve in zip(axes.T, several, strict=True):
            drawn = {"linestyle": "-" if curve.alone else "--", "color": colour, "linewidth": 1.8}
            if len(curves) > 1:  # markers, and not at the same places, so that no line is told by colour alone
                drawn |= {"marker": marker(index), "markersize": 5, "markevery": _places(index, len(curves))}
            column[0].plot(curve.x, curve.loss, label=label, **drawn)
            column[1].plot(curve.x, curve.gradient, **drawn)
    for column, curve in zip(axes.T, next(iter(curves.values())), strict=True):
        for panel in column:
            _plain(panel)
        error = curve.of == "error"
        column[0].set_title("prediction of a number" if error else f"{curve.of} pixel", fontsize=11)
        column[1].set_xlabel("error (prediction - target)" if error else "predicted probability of lesion")
        column[1].set_ylim(bottom=0)
        if not error:
            column[0].set_ylim(top=min(column[0].get_ylim()[1], HIGHEST))
            column[0].set_xlim(0, 1)
    axes[0][0].set_ylabel("loss")
    axes[1][0].set_ylabel("|gradient|")
    handles, labels = axes[0][0].get_legend_handles_labels()
    title = None if all(curve.alone for several in curves.values() for curve in several) else DASHED
    figure.legend(handles, labels, loc="outside right center", frameon=False, title=title, alignment="left")


def draw_moments(figure: Any, moments: Sequence[Moment], show_mask: bool = False) -> None:
    """Draws a bar of gradient shares for each setting, below a bar of pixel shares; one column for each moment.

    Args:
        figure: a figure or a part of one.
        moments: the moments, at least one.
        show_mask: whether to draw the worked example's mask beside the bars.
    """
    widths = [0.45] * show_mask + [1.0] * len(moments)
    panels = list(figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0])
    if show_mask:
        _draw_mask(panels.pop(0))
    labels = list(moments[0].gradients)
    for index, (moment, panel) in enumerate(zip(moments, panels, strict=True)):
        bars = [moment.pixels, *moment.gradients.values()]
        for row, found in zip(_rows(len(bars)), bars, strict=True):
            _draw_bar(panel, row, found)
        panel.set_title(moment.name, fontsize=10)
        panel.set_yticks(_rows(len(bars)), [PIXELS, *labels] if index == 0 else [""] * len(bars))
        panel.set_xlim(0, 1)
        panel.set_ylim(len(bars) + 0.15, -0.65)
        panel.set_xticks([0.25, 0.5, 0.75], ["25%", "50%", "75%"])
        panel.tick_params(axis="y", length=0)
        panel.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(handles=_region_patches(moments), loc="outside lower center", ncols=6, frameon=False, fontsize=9)


def bar_height(moments: Sequence[Moment]) -> float:
    """Height in inches that `draw_moments` needs."""
    return 1.5 + 0.34 * (1 + len(moments[0].gradients))


def curves_figure(explanation: Explanation) -> Figure:
    """Draws the curves only."""
    figure = _figure(6.0)
    draw_curves(figure, explanation)
    return figure


def moments_figure(moments: Sequence[Moment], show_mask: bool = False) -> Figure:
    """Draws the bars only."""
    figure = _figure(bar_height(moments))
    draw_moments(figure, moments, show_mask)
    return figure


def whole_figure(explanation: Explanation) -> Figure:
    """Draws everything in one figure: curves, gradient shares on the data's masks, the worked example."""
    parts = [moments for moments in (explanation.moments, explanation.example) if moments]
    heights = [6.4, *(bar_height(moments) + 0.45 for moments in parts)]
    figure = _figure(sum(heights))
    subfigures = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    of = "number" if explanation.kind == "regression" else "pixel"
    title = f"{explanation.title}: loss and gradient of one {of}"
    subfigures[0].suptitle(textwrap.fill(title, TITLE_LINE), fontsize=13)
    draw_curves(subfigures[0], explanation)
    if parts:
        subfigures[1].suptitle(f"Shares of the gradient\n{explanation.masks}", fontsize=12)
        draw_moments(subfigures[1], explanation.moments)
        subfigures[2].suptitle("Worked example: 44 background pixels, 5 lesion pixels", fontsize=12)
        draw_moments(subfigures[2], explanation.example, show_mask=True)
    return figure


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH, height), layout="constrained")


def _plain(axes: Any) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _line_colours(labels: Sequence[str]) -> list[Any]:
    """Returns a colour scale if a single number is varied, and distinct colours otherwise."""
    keys = [match[1] if (match := re.fullmatch(r"(\S+)=-?[\d.e+-]+", label)) else None for label in labels]
    if len(labels) > 1 and len(set(keys)) == 1 and keys[0]:
        return [mpl.colormaps["plasma"](0.8 * index / (len(labels) - 1)) for index in range(len(labels))]
    if len(labels) <= len(LINES):
        return list(LINES[: len(labels)])
    return [mpl.colormaps["turbo"](index / (len(labels) - 1)) for index in range(len(labels))]


def _places(index: int, lines: int) -> tuple[float, float]:
    """Where the markers of a line are, as shares of the panel's diagonal: the first one, and the distance."""
    return 0.03 + 0.16 * index / lines, 0.16


def _rows(count: int) -> list[float]:
    """Positions of the bars; the first, of the pixels, is set apart."""
    return [0.0, *(index + 0.25 for index in range(1, count))]


def _draw_bar(axes: Any, row: float, found: Shares) -> None:
    left = 0.0
    for (region, word), share in found.items():
        if not share > 0:  # nan if the gradient is 0 everywhere
            continue
        axes.barh(row, share, left=left, height=0.74, color=_shade(region, word), edgecolor="white", linewidth=0.6)
        if share >= LABELLED:
            colour = "white" if word == "hard" else "#333333"
            axes.text(left + share / 2, row, f"{share:.0%}", ha="center", va="center", fontsize=8, color=colour)
        left += share


def _shade(region: str, word: str) -> tuple[float, float, float]:
    light = 0.55 if word == "easy" else 0.0
    red, green, blue = (part + (1 - part) * light for part in mpl.colors.to_rgb(COLOURS[region]))
    return red, green, blue


def _region_patches(moments: Sequence[Moment]) -> list[Patch]:
    """Legend entries for the regions and shades that have pixels at any moment."""
    seen = {key for moment in moments for key, share in moment.pixels.items() if share > 0}
    order = [(region, word) for region in REGIONS for word in HARDNESS if (region, word) in seen]
    return [Patch(color=_shade(region, word), label=f"{region}, {word}") for region, word in order]


def _draw_mask(axes: Any) -> None:
    mask = worked_mask()[0, 0].numpy()
    colours = mpl.colors.ListedColormap([_shade("background", "easy"), _shade("lesion", "hard")])
    axes.imshow(mask, cmap=colours)
    axes.set_xticks([edge - 0.5 for edge in range(1, len(mask))], [], minor=False)
    axes.set_yticks([edge - 0.5 for edge in range(1, len(mask))], [], minor=False)
    axes.grid(color="white", linewidth=1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
