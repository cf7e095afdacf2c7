"""Draws the curve of a learning-rate range test."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from tandem.reports.figures import legend
from tandem.reports.palette import BLUE, VERMILION


def lr_figure(
    rates: Sequence[float],
    losses: Sequence[float],
    smooth: Sequence[float],
    chosen: float,
    present: float | None = None,
) -> Figure:
    """Draws the loss and the smoothed loss against the learning rate.

    Args:
        rates: the rates tried, increasing.
        losses: the loss at each rate.
        smooth: the smoothed losses of the first rates, at least one.
        chosen: the suggested rate, which is marked.
        present: the rate of the configuration, marked if it lies among the rates tried.
    """
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(rates, losses, color="0.75", linewidth=1, label="batches of one step")
    axes.semilogx(rates[: len(smooth)], smooth, color=BLUE, label="smoothed")
    lowest = lowest_at(rates, smooth)
    axes.plot(lowest, min(smooth), "o", color=BLUE, markersize=5, label=f"lowest at {lowest:.2g}")
    axes.axvline(chosen, color=VERMILION, linestyle="--", label=f"suggested {chosen:g}: falls fastest")
    if present is not None and rates[0] <= present <= rates[-1]:
        axes.axvline(present, color="0.3", linestyle=":", label=f"currently {present:g}")
    low, high = min(smooth), max(smooth[: max(1, len(smooth) // 2)])
    axes.set_ylim(low - 0.2 * (high - low), high + 0.5 * (high - low))  # losses after divergence would flatten the rest
    axes.set_xlabel("learning rate, one optimiser step at each")
    axes.set_ylabel("training loss of all tasks")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    legend(axes, fontsize=8)
    return figure


def lowest_at(rates: Sequence[float], smooth: Sequence[float]) -> float:
    """The rate at which the smoothed loss is lowest.

    Args:
        rates: the rates tried, increasing.
        smooth: the smoothed losses of the first rates, at least one.
    """
    return rates[min(range(len(smooth)), key=smooth.__getitem__)]
