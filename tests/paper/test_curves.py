"""Curves: means, intervals and runs of the rows, each at its number."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tandem.paper.figures import paper_figures
from tandem.paper.writer import all_tables

SHARES = {100: "seg", 50: "half"}
LOSSES = {"seg": (0.4, 0.5, 0.9), "half": (0.7, 0.8, 0.9)}


def test_means_bands_and_runs(make: Any, paper: Callable[..., Any]) -> None:
    for row, losses in LOSSES.items():
        for seed, loss in enumerate(losses):
            make.run(row, seed, [], loss=loss)

    def change(node: dict[str, Any]) -> None:
        node["tables"]["main"].update(
            rows={row: {"label": row, "runs": {"task": row}} for row in LOSSES},
            columns={"loss": {"label": "loss", "metric": "test/loss"}},
            baseline=None,
            published=None,
        )
        curves = {"fewer/all": SHARES, "other/all": {100: "seg"}}
        node["figures"]["main"] = {"table": "main", "columns": ["loss"], "along": "%", "curves": curves}

    made = paper(change)
    _, _, cells = all_tables(made, "small", make.outcome())
    first, second = paper_figures(made, make.outcome(), cells)["main"].axes
    assert [axes.get_title() for axes in (first, second)] == ["fewer", "other"]
    (mean,) = [line for line in first.lines if line.get_label() == "all"]
    assert np.asarray(mean.get_xdata()).tolist() == [50, 100]
    assert np.asarray(mean.get_ydata()).tolist() == pytest.approx([0.8, 0.6])
    runs = {
        np.asarray(line.get_xdata())[0]: np.asarray(line.get_ydata()).tolist()
        for line in first.lines
        if line is not mean
    }
    assert runs == {100: list(LOSSES["seg"]), 50: list(LOSSES["half"])}
    (band,) = first.collections
    points = np.asarray(band.get_paths()[0].vertices)
    for x, row in SHARES.items():
        low, high = stats.t.interval(0.95, 2, stats.tmean(LOSSES[row]), stats.sem(LOSSES[row]))
        here = sorted(points[points[:, 0] == x, 1])
        assert (here[0], here[-1]) == pytest.approx((low, high))
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["50", "100"]
