"""What a study says of each class: the table, and confusion matrices that hold every picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tandem.study.analysis import Analysis, analyse
from tandem.study.classes import class_table, matrices
from tandem.study.command import write_study
from tandem.study.report.matrices import MOST, confusion_matrices
from tandem.study.runs import read_study
from tandem.study.table import Number, to_csv
from tandem.study.tables import main_table

GAMMA = "tasks.segmentation.loss.gamma"
CLASSES = ["benign", "malignant<b>"]


def scores(malignant: float) -> dict[str, float]:
    return {
        "test/classification/recall/benign": 0.9,
        "test/classification/recall/malignant<b>": malignant,
        "val/classification/recall/malignant<b>": 0.0,
        "test/classification/specificity/malignant<b>": 0.5,
        "test/classification/f1_macro": malignant,
        "test/segmentation/recall": 0.3,
        "test/segmentation/hair/dice": 0.3,
    }


def confusion(*counts: list[int]) -> dict[str, Any]:
    return {f"{stage}/classification": {"classes": CLASSES, "counts": list(counts)} for stage in ("val", "test")}


def analysed(make: Any) -> Analysis:
    return analyse(read_study([make.folder]))


def test_each_class_has_a_row_for_each_cell(make: Any) -> None:
    for gamma, values in ((1.0, (0.2, 0.4)), (2.0, (0.6, 0.8))):
        for seed, value in enumerate(values):
            make({GAMMA: gamma, "seed": seed}, scores(value))
    table = class_table(analysed(make))
    assert table is not None
    assert table.head == ["class", "cell", "n", "recall (sensitivity)", "specificity"]
    assert [row[:3] for row in table.rows] == [[name, f"gamma={g}", 2] for name in CLASSES for g in (1, 2)]
    recalls = [row[3] for row in table.rows[2:]]
    assert [(round(one.mean, 6), one.best) for one in recalls if isinstance(one, Number)] == [(0.3, False), (0.7, True)]
    assert "0.1414" in to_csv(table), "the deviation over two seeds"


def test_the_main_table_has_macro_f1_and_names_the_data(make: Any) -> None:
    make({}, scores(0.5), data={"name": "dermamnist-stand-in"})
    table = main_table(analysed(make))
    assert "classification: F1, macro" in table.head
    assert "Data: dermamnist-stand-in." in table.notes


def test_matrices_are_added_over_seeds_and_have_shares_of_the_true_class(make: Any) -> None:
    make({GAMMA: 1.0, "seed": 0}, scores(0.5), confusion=confusion([3, 1], [0, 2]))
    make({GAMMA: 1.0, "seed": 1}, scores(0.5), confusion=confusion([2, 2], [1, 1]))
    make({GAMMA: 2.0, "seed": 0}, scores(0.5), confusion=confusion([4, 0], [0, 0]))
    found = matrices(analysed(make))
    np.testing.assert_array_equal(found[0].counts, [[5, 3], [1, 3]])
    chart = confusion_matrices(analysed(make))
    assert chart is not None
    assert [trace["z"] for trace in chart.data] == [[[0.625, 0.375], [0.25, 0.75]], [[1, 0], [0, 0]]]
    assert chart.data[0]["customdata"][1][0] == "true malignant&lt;b&gt;, predicted benign: 1 of 4 (25.0%)"
    assert [note["text"] for note in chart.layout["annotations"]] == ["gamma=1", "gamma=2"]


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        {"test/classification": 3},
        {"test/classification": {"classes": CLASSES}},
        {"test/classification": {"classes": CLASSES, "counts": [[1, 2]]}},
        {"test/classification": {"classes": CLASSES, "counts": [[1, 2], [1, -1]]}},
        {"test/classification": {"classes": CLASSES, "counts": [[1, 2], ["1", None]]}},
        {"test/classification": {"classes": CLASSES, "counts": ["ab", "cd"]}},
    ],
)
def test_matrices_that_are_none_are_left_out(make: Any, kept: Any) -> None:
    make({}, scores(0.5), confusion=kept)
    assert confusion_matrices(analysed(make)) is None


def test_runs_of_other_classes_are_not_added(make: Any) -> None:
    other: Mapping[str, Any] = {"test/classification": {"classes": ["a", "b"], "counts": [[1, 0], [0, 1]]}}
    make({"seed": 0}, scores(0.5), confusion=confusion([3, 1], [0, 2]))
    make({"seed": 1}, scores(0.5), confusion=other)
    assert matrices(analysed(make)) == []


def test_of_many_cells_the_chosen_one_is_drawn_first(make: Any) -> None:
    for gamma in range(MOST + 3):
        metrics = {**scores(0.5), "val/segmentation/dice": gamma / 100}
        make({GAMMA: float(gamma)}, metrics, confusion=confusion([gamma, 1], [0, 1]))
    chart = confusion_matrices(analysed(make))
    assert chart is not None
    assert len(chart.data) == MOST
    assert chart.layout["annotations"][0]["text"] == f"gamma={MOST + 2}"


def test_the_page_shows_both_and_a_study_without_classes_neither(make: Any) -> None:
    folder = make({"seed": 0}, scores(0.5), confusion=confusion([3, 1], [0, 2]), data={"name": "set<i>-stand-in"})
    page = write_study([make.folder])[1][-1]
    text = page.read_text()
    assert {"classes.csv", "classes.md", "classes.tex"} <= {path.name for path in page.parent.iterdir()}
    assert "id='chart-confusion'" in text
    assert "data: set&lt;i&gt;-stand-in" in text
    assert "malignant<b>" not in text
    (folder / "results.json").unlink()
    make({"seed": 1}, {"test/segmentation/dice": 0.5})
    write_study([make.folder])
    assert "chart-confusion" not in page.read_text()
    assert not (page.parent / "classes.csv").exists()
