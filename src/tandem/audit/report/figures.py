"""Figures of an audit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from tandem.data.samples import SPLITS
from tandem.reports.figures import legend
from tandem.reports.outlines import draw_outlined
from tandem.reports.palette import colour

if TYPE_CHECKING:
    from torch import Tensor

    from tandem.audit.audit import Audit, Likeness
    from tandem.audit.facts import Facts
    from tandem.audit.levels import LevelFacts
    from tandem.data.samples import Samples

BINS = 30
HATCHES = ("", "//", "..", "xx", "--")
"""Of the splits and classes, so that bars are not told apart by colour alone."""

MANY = 12  # with more classes, their areas are not shown separately


def class_balance(audit: "Audit") -> Figure:
    """Bars of the number of images of each class in each split."""
    names = [*audit.classes, *(["unknown"] if any(not row.label for row in audit.rows) else [])]
    counts = Counter((row.label or "unknown", row.split) for row in audit.rows)
    figure = Figure(figsize=(5.2, max(1.6, 0.28 * len(names) + 1)), layout="constrained")
    axes = figure.add_subplot()
    left = np.zeros(len(names))
    for index, split in enumerate(SPLITS):
        widths = np.array([counts[name, split] for name in names])
        axes.barh(range(len(names)), widths, left=left, label=split, color=colour(index), hatch=HATCHES[index])
        left += widths
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=len(SPLITS), frameon=False, fontsize=8)
    return figure


def mask_areas(rows: Sequence["Facts"], classes: Sequence[str]) -> Figure:
    """Histogram of the marked share of the image, on a logarithmic axis, without empty masks."""
    filled = [row for row in rows if row.area > 0]
    areas = np.array([row.area for row in filled])
    labels = np.array([row.label for row in filled])
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    edges = np.geomspace(areas.min() * 0.99, min(1.0, areas.max() * 1.01), BINS + 1).tolist()
    shown = [name for name in [*classes, ""] if (labels == name).any()]
    if len(shown) > MANY:
        axes.hist(areas, edges, color=colour(0))
    else:
        colours = [colour(index) for index in range(len(shown))]
        parts = [areas[labels == name] for name in shown]
        labels_of = [name or "unknown" for name in shown]
        hatches = [HATCHES[index % len(HATCHES)] for index in range(len(shown))]
        axes.hist(parts, edges, stacked=True, label=labels_of, color=colours, hatch=hatches)
        legend(axes, fontsize=8)
    axes.set(xscale="log", xlabel="marked share of the image (logarithmic)", ylabel="masks")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def level_histogram(facts: "LevelFacts") -> Figure:
    """Histogram of the levels of all pixels, with black and white marked."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.stairs(facts.counts, facts.edges, fill=True, color=colour(0))
    for end, name in zip(facts.ends, ("black", "white"), strict=True):
        axes.axvline(end, color="0.3", linewidth=0.8, linestyle="--")
        axes.annotate(name, (end, 1), xycoords=("data", "axes fraction"), fontsize=7, ha="center", va="bottom")
    axes.set(yscale="log", xlabel="level", ylabel="values")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def pair(likeness: "Likeness", splits: Mapping[str, "Samples"]) -> Figure:
    """Two near-duplicates side by side, masks outlined."""
    figure = Figure(figsize=(4, 2.45), layout="constrained")
    cells = figure.subplots(1, 2)
    for axes, fact, place in zip(cells, (likeness.one, likeness.other), likeness.places, strict=True):
        image, mask = _row(splits, place)
        draw_outlined(axes, image, mask)
        axes.set_title(f"{fact.id}\n{fact.label or '-'}, {fact.split}", fontsize=7, parse_math=False)
    return figure


def _row(splits: Mapping[str, "Samples"], place: int) -> "tuple[Tensor, Tensor | None]":
    """Returns image and mask of a row, by its index over all splits."""
    for samples in splits.values():
        if place < len(samples):
            batch = samples.take([place])
            return batch["image"][0], batch["mask"][0] if "mask" in batch else None
        place -= len(samples)
    raise IndexError(place)
