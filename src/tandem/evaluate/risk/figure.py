"""The figure of a risk-coverage curve."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tandem.reports.figures import legend, where_it_varies
from tandem.reports.palette import colour


def risk_figure(lines: Mapping[str, Any], quality: str) -> Figure:
    """Quality of the kept images against the share that is kept.

    Args:
        lines: `coverage`, `quality`, `quality.low`, `quality.high`, `oracle` and `all`.
        quality: label of the vertical axis.
    """
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    at = 100 * np.array(lines["coverage"])
    ends = {key: np.array(lines[key], dtype=float) for key in ("quality", "quality.low", "quality.high", "oracle")}
    axes.fill_between(at, ends["quality.low"], ends["quality.high"], color=colour(0), alpha=0.15, linewidth=0)
    axes.plot(at, ends["quality"], color=colour(0), label="least certain handed over first")
    axes.plot(at, ends["oracle"], color="0.4", linestyle="--", linewidth=1, label="oracle: worst handed over first")
    axes.axhline(lines["all"], color="0.75", linewidth=1, label="at random")
    axes.set(xlabel="images kept, %", ylabel=f"{quality} of the kept images", xlim=(100, 0))
    axes.set_ylim(*where_it_varies([line.tolist() for line in (ends["quality.low"], ends["quality.high"])]))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    legend(axes, fontsize=8)
    return figure
