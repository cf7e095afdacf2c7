"""The critical-difference diagram of a study (Demsar, JMLR 2006)."""

import math

from matplotlib.figure import Figure

from tandem.reports.palette import BLUE, GREY
from tandem.study.analysis import Analysis
from tandem.study.ranks import Ranks, rank


def rank_diagram(analysis: Analysis, metric: str) -> Figure | None:
    """Draws mean ranks over seeds and folds; bars join choices that are not told apart. None below three choices.

    Args:
        analysis: of the study; only seeds and folds that all choices have are ranked.
        metric: logged name of the metric, whose direction must be known.
    """
    direction = analysis.quantity(metric).direction
    known = [cell.known(metric) for cell in analysis.cells]
    shared = [replicate for replicate in known[0] if all(replicate in values for values in known)] if known else []
    if direction is None or len(known) < 3 or len(shared) < 2:
        return None
    ranks = rank([[values[replicate] for values in known] for replicate in shared], higher=direction == "max")
    return draw_ranks(ranks, [cell.short for cell in analysis.cells], analysis.words(metric))


def draw_ranks(ranks: Ranks, labels: list[str], title: str) -> Figure:
    """Draws one line per choice, best first, on an axis of mean ranks, and the bars beside them.

    Args:
        ranks: of the choices.
        labels: names of the choices.
        title: what was ranked.
    """
    order = sorted(range(len(labels)), key=lambda index: ranks.mean[index])
    groups = ranks.groups()
    figure = Figure(figsize=(6.4, 1.3 + 0.24 * len(labels)), layout="constrained")
    axes = figure.subplots()
    for place, index in enumerate(order):
        axes.plot(ranks.mean[index], place, "o", color=BLUE, markersize=5)
        axes.plot([1, ranks.mean[index]], [place, place], color=GREY, linewidth=0.6, zorder=0)
    for number, (first, last) in enumerate(groups):
        x = len(labels) + 0.35 * (number + 1)
        axes.plot([x, x], [first - 0.2, last + 0.2], color="k", linewidth=2.5, solid_capstyle="butt")
    axes.set_yticks(range(len(labels)), [labels[index] for index in order], fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0.8, len(labels) + 0.35 * (len(groups) + 1))
    axes.set_xticks(range(1, len(labels) + 1))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("mean rank, 1 is best", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{title}: Friedman p = {ranks.p:.2g}, n = {ranks.n} seeds and folds", fontsize=9)
    if not math.isnan(ranks.critical):
        axes.plot([1, 1 + ranks.critical], [-0.45, -0.45], color="k", linewidth=1.2)
        axes.annotate(
            f"critical difference {ranks.critical:.2f}", (1 + ranks.critical, -0.45), xytext=(4, 0),
            textcoords="offset points", fontsize=8, va="center",
        )  # fmt: skip
    figure.supxlabel("bars at the right join choices that are not told apart (Nemenyi, .05)", size=8)
    return figure
