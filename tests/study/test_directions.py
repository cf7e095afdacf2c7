"""A metric whose direction nobody knows: nowhere is a cell of it the best, better, or a gain."""

import math
from typing import Any

from tandem.study.analysis import Analysis, analyse
from tandem.study.report.charts import NEUTRAL, SCALE, Chart
from tandem.study.report.grids import heat_maps
from tandem.study.report.lines import front
from tandem.study.report.page import study_page
from tandem.study.runs import read_study
from tandem.study.tables import all_tables

GAMMA, ALPHA = "tasks.segmentation.loss.gamma", "tasks.segmentation.loss.alpha"
DICE, NLL = "test/segmentation/dice", "test/classification/nll"


def grid(make: Any) -> Any:
    """Two hyperparameters and six seeds; Dice and nll both rise with gamma."""
    for gamma in (1.0, 2.0):
        for alpha in (0.25, 0.5):
            for seed in range(8):
                value = 0.1 * gamma + 0.1 * alpha + 0.001 * seed
                make(
                    {GAMMA: gamma, ALPHA: alpha, "seed": seed},
                    {DICE: value, NLL: value, "val/segmentation/dice": value},
                )
    return make


def analysed(make: Any) -> Analysis:
    return analyse(read_study([make.folder]), ["gamma=1", "alpha=0.25"], [DICE, NLL])


def shown(chart: Chart | None) -> list[dict[str, Any]]:
    assert chart is not None
    return list(chart.data)


def test_a_comparison_says_higher_and_not_better(make: Any) -> None:
    found = analysed(grid(make)).comparisons
    assert {one.verdict for one in found[DICE]} == {"better"}
    assert {one.verdict for one in found[NLL]} == {"higher"}


def test_heat_maps_are_drawn_in_a_scale_that_says_nothing(make: Any, tmp_path: Any) -> None:
    analysis = analysed(grid(make))
    scales = [trace["colorscale"] for trace in shown(heat_maps(analysis))]
    assert scales == [SCALE, NEUTRAL]
    page = study_page(analysis, all_tables(analysis), tmp_path)
    assert "Brown, of classification: nll: darker is higher, which need not be better." in page


def test_no_cell_is_on_a_pareto_front(make: Any) -> None:
    line, dots = shown(front(analysed(grid(make))))[:2]
    assert line["x"] == []
    assert set(dots["marker"]["color"]) == {"#56b4e9"}


def test_delta_m_is_unknown_and_says_why(make: Any) -> None:
    make({}, {DICE: 0.6, NLL: 0.5})
    make({"tasks.segmentation!": None}, {NLL: 0.4})
    make({"tasks.classification!": None}, {DICE: 0.5})
    (delta,) = analyse(read_study([make.folder])).deltas
    assert delta.tasks["segmentation"].mean == 20.0
    assert math.isnan(delta.tasks["classification"].mean)
    assert math.isnan(delta.delta_m.mean)
    assert delta.note == f"the direction of {NLL} is unknown"
