"""Figures of an evaluation's page: one colour for a class, ticks that do not overlap, curves that nothing covers."""

import numpy as np
import pytest

from tandem.evaluate.report import figures
from tandem.evaluate.report.rows import _label
from tandem.metrics.catalogue import CATALOGUE
from tandem.reports.palette import colour, marker


def test_a_class_keeps_its_colour_whichever_image_comes_first() -> None:
    area, dice = np.array([0.02, 0.1, 0.3]), np.array([0.5, 0.6, 0.7])
    drawn = figures.against_size(area, dice, ["malignant", "benign", "benign"], ["normal", "benign", "malignant"])
    lines = {line.get_label(): line for line in drawn.axes[0].lines}
    assert lines["benign"].get_color() == colour(1)
    assert lines["malignant"].get_color() == colour(2)
    assert lines["malignant"].get_marker() == marker(2)
    assert "normal" not in lines


@pytest.mark.parametrize(("counts", "scale"), [([5, 40, 20], "linear"), ([1, 40, 4000], "log"), ([0, 0, 0], "linear")])
def test_counts_of_bins_have_few_labels(counts: list[int], scale: str) -> None:
    line = {"probability": [0.2, 0.5, 0.8], "share": [0.1, 0.5, 0.9], "count": counts}
    below = figures.reliability({"pixels": line}).axes[1]
    assert below.get_yscale() == scale
    assert len(below.get_yticks()) <= 6


def test_rows_say_where_lower_is_better() -> None:
    assert _label(CATALOGUE["brier"]) == "Brier score (lower is better)"
    assert _label(CATALOGUE["dice"]) == "Dice (official)"
