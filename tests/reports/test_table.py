"""The table at a run's end."""

import math
from pathlib import Path

import pytest

from tandem.reports.table import format_value, print_results, result_groups

METRICS = {
    "val/loss": 1.0,
    "val/segmentation/specificity_empty": 0.75,
    "val/segmentation/threshold": 0.41,
    "val/segmentation/dice_lesion": 0.6,
    "val/segmentation/loss": 0.4,
    "val/segmentation/loss/bce": 0.1,
    "val/segmentation/dice": 0.8,
    "val/classification/recall/benign": 0.9,
    "val/classification/balanced_accuracy": 0.7,
    "test/segmentation/dice": 0.78,
    "test/segmentation/dice_lesion": None,
    "test/classification/balanced_accuracy": 0.65,
    "seconds": 3.0,
    "val/other/dice": 0.1,
}


def test_lesion_images_and_empty_images_are_separate_groups() -> None:
    groups = result_groups(METRICS, {"classification": {}, "segmentation": {}})
    assert [(task, images, [(one.label, *values) for one, *values in rows]) for task, images, rows in groups] == [
        ("classification", "all", [("balanced accuracy", 0.7, 0.65), ("recall/benign", 0.9, None)]),
        (
            "segmentation",
            "all",
            [
                ("Dice (official)", 0.8, 0.78),
                ("threshold (from val)", 0.41, None),
                ("loss", 0.4, None),
                ("loss/bce", 0.1, None),
            ],
        ),
        ("segmentation", "with lesion", [("Dice per image", 0.6, None)]),
        ("segmentation", "without lesion", [("predicted empty", 0.75, None)]),
    ]


def test_metrics_without_empty_images_are_grouped_with_lesions() -> None:
    metrics = {"val/lesion/area_error": 0.5, "val/lesion/hd95": 3.0}
    settings = {"lesion": {"metrics": {"area_error": {"empty": "skip"}, "hd95": {"empty": "score"}}}}
    assert [(group, rows[0].quantity.label) for _, group, rows in result_groups(metrics, settings)] == [
        ("all", "HD95 in pixels"),
        ("with lesion", "area error"),
    ]


@pytest.mark.parametrize("full", [False, True])
def test_the_terminal_shows_twenty_rows_of_all_groups_or_all(
    full: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {f"val/{task}/own_{number}": 0.5 for task in ("a", "b") for number in range(15)}
    metrics |= {f"val/a/loss/{number}": 1.0 for number in range(5)}  # on the page alone
    results = {"name": "x", "best_epoch": 0, "monitor": "val/loss", "metrics": metrics}
    print_results({**results, "config": {"tasks": {"a": {}, "b": {}}}}, tmp_path / "runs" / "x", full)
    shown = capsys.readouterr().out
    assert shown.count("own_") == (30 if full else 20)
    assert ("20 of 30 rows; full=true shows all" in shown) is not full
    assert "run=" in shown.splitlines()[-1]


def test_a_task_without_numbers_has_no_rows() -> None:
    assert list(result_groups(METRICS, {"age": {}})) == []
    assert list(result_groups({}, {"segmentation": {}})) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.500"), (0.12345, "0.123"), (0.0, "0.000"), (None, "-"), (math.nan, "-"), (12.3456, "12.346")],
)
def test_three_digits_or_a_dash(value: float | None, text: str) -> None:
    assert format_value(value) == text


def test_the_printed_table_names_run_epoch_and_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    results = {
        "name": "my [bold]run",
        "best_epoch": 3,
        "monitor": "val/segmentation/dice",
        "metrics": METRICS,
        "config": {"tasks": {"segmentation": {}, "classification": {}}},
        "warnings": [{"epoch": 2, "saw": "Dice is 0 [stuck]", "attempt": "optimizer.lr=1e-4"}],
    }
    print_results(results, tmp_path / "a very long folder name" / ("x" * 90))
    out = capsys.readouterr().out
    assert "my [bold]run: best epoch 3 by val/segmentation/dice" in " ".join(out.split())
    assert f"report: {tmp_path / 'a very long folder name' / ('x' * 90) / 'report.html'}" in out, "on one line"
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert ["segmentation", "all", "Dice (official)", "0.800", "0.780"] in rows
    assert ["segmentation", "with lesion", "Dice per image", "0.600", "-"] in rows
    assert ["segmentation", "without lesion", "predicted empty", "0.750", "-"] in rows
    assert ["", "", "recall/benign", "0.900", "-"] in rows
    assert "loss/bce" not in out
    assert "warning epoch 2: Dice is 0 [stuck]; try: optimizer.lr=1e-4" in out
