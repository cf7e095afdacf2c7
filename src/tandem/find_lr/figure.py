"""Draws the curve of a learning-rate range test."""

from collections.abc import Sequence

from matplotlib.figure import Figure


def lr_figure(rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], chosen: float) -> Figure:
    """Draws the loss and the smoothed loss against the learning rate.

    Args:
        rates: the rates tried, increasing.
        losses: the loss at each rate.
        smooth: the smoothed losses of the first rates, at least one.
        chosen: the suggested rate, which is marked.
    """
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(rates, losses, color="0.75", linewidth=1, label="per step")
    axes.semilogx(rates[: len(smooth)], smooth, color="C0", label="smoothed")
    axes.axvline(chosen, color="C1", linestyle="--", label=f"suggested {chosen:g}")
    low, high = min(smooth), max(smooth[: max(1, len(smooth) // 2)])
    axes.set_ylim(low - 0.2 * (high - low), high + 0.5 * (high - low))  # losses after divergence would flatten the rest
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
