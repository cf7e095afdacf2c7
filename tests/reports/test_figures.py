"""Figures show the given numbers."""

import io
import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tandem.reports.figures import confusion_figure, history_figure, sweep_figure, sweep_png

CURVE = {"thresholds": [0.1, 0.5, 0.9], "dice_global": [0.2, 0.7, 0.3], "dice_lesion": [0.1, None, math.nan]}


def lines(figure: Figure) -> dict[str, list[float]]:
    return {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float).tolist() for line in figure.axes[0].lines}


def drawn(figure: Figure) -> int:
    """How many different greys the drawn figure has."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    with Image.open(buffer) as image:
        return len(np.unique(np.asarray(image.convert("L"))))


def test_dice_against_threshold() -> None:
    figure = sweep_figure(CURVE, 0.5)  # type: ignore[arg-type]
    found = lines(figure)
    assert found["over all pixels"] == [0.2, 0.7, 0.3]
    assert found["mean over lesion images"][0] == 0.1
    assert np.isnan(found["mean over lesion images"][1:]).all(), "null in results.json is a gap"
    assert figure.axes[0].lines[2].get_xdata() == [0.5, 0.5]
    assert "stored threshold 0.50" in found
    assert figure.axes[0].get_ylim() == pytest.approx((0.07, 0.73)), "the curves fill the axis"
    assert drawn(figure) > 10


def test_without_a_chosen_threshold_none_is_marked() -> None:
    assert set(lines(sweep_figure(CURVE))) == {"over all pixels", "mean over lesion images"}  # type: ignore[arg-type]


def test_an_undefined_curve_can_be_drawn() -> None:
    nothing = {"thresholds": [0.1, 0.5], "dice_global": [None, None], "dice_lesion": [math.nan, math.nan]}
    assert drawn(sweep_figure(nothing)) > 10  # type: ignore[arg-type]


@pytest.mark.parametrize(("epochs", "best"), [(1, 0), (3, 2), (30, 4), (3, None)])
def test_values_over_epochs(epochs: int, best: int | None) -> None:
    values = {"val/loss": [1 / (1 + epoch) for epoch in range(epochs)]}
    figure = history_figure(range(epochs), values, "loss", best)
    found = lines(figure)
    assert found["val/loss"] == values["val/loss"]
    assert (f"best epoch {best}" in found) == (best is not None)
    assert figure.axes[0].get_ylabel() == "loss"
    assert drawn(figure) > 10


def test_a_sweep_is_drawn_once_for_trackers_and_page() -> None:
    curve = {"thresholds": [0.1, 0.5, 0.9], "dice_global": [0.2, 0.8, math.nan]}
    png = sweep_png(curve, 0.5)
    assert sweep_png({key: list(values) for key, values in curve.items()}, 0.5) is png
    assert sweep_png(curve, 0.6) != png
    buffer = io.BytesIO()
    sweep_figure(curve, 0.5).savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    assert png == buffer.getvalue()


@pytest.mark.parametrize(("classes", "texts"), [(5, 25), (100, 0)])
def test_a_confusion_matrix_of_many_classes_has_colours_and_no_numbers(classes: int, texts: int) -> None:
    matrix = np.eye(classes, dtype=np.int64)
    figure = confusion_figure(matrix, [f"class {place}" for place in range(classes)])
    axes = figure.axes[0]
    assert len(axes.texts) == texts
    assert len(axes.get_xticklabels()) == len(axes.get_yticklabels()) == classes
    assert np.array_equal(np.asarray(axes.images[0].get_array()), matrix)
    assert max(figure.get_size_inches()) < 20
