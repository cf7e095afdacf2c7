"""The first sentence of a page: numbers, intervals, threshold, the weakest class."""

import math
from typing import Any

import pytest
from scipy.stats import binomtest

from tandem.reports.answers import recall_intervals, run_answer, task_answers

TWO = {
    "test/lesion/dice": 0.8512, "test/lesion/iou": 0.7, "test/lesion/threshold": 0.4,
    "test/kind/balanced_accuracy": 0.7, "test/kind/recall/benign": 0.6, "test/kind/recall/malignant": 0.8,
    "val/kind/balanced_accuracy": 0.9,
}  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "tasks", "stage", "expected"),
    [
        (TWO, ["lesion"], "test", ["Lesion: Dice 0.851 at threshold 0.4 from validation"]),
        (
            TWO,
            ["kind", "lesion"],
            "test",
            [
                "Kind: balanced accuracy 0.700 [0.600, 0.800]; recall of benign 0.600 is the weakest",
                "Lesion: Dice 0.851 at threshold 0.4 from validation",
            ],
        ),
        (TWO, ["kind"], "val", ["Kind: balanced accuracy 0.900"]),
        ({"val/lesion/dice": 0.5, "val/lesion/threshold": 0.3}, ["lesion"], "val",
         ["Lesion: Dice 0.500 at threshold 0.3, chosen on them"]),
        ({"test/lesion/dice": math.nan}, ["lesion"], "test", ["Lesion: Dice -"]),
        ({"test/lesion/dice": None}, ["lesion"], "test", ["Lesion: Dice -"]),
        ({"test/k/accuracy": 0.5, "test/k/recall/a": math.nan, "test/k/recall/b": 0.5}, ["k"], "test",
         ["K: accuracy 0.500"]),
        ({"val/loss": 1.0}, ["lesion"], "test", []),
        ({}, [], "test", []),
    ],
)  # fmt: skip
def test_one_sentence_a_task(metrics: Any, tasks: list[str], stage: str, expected: list[str]) -> None:
    intervals = {"test/kind/balanced_accuracy": (0.6, 0.8), "test/kind/recall/benign": (math.nan, math.nan)}
    assert task_answers(metrics, tasks, stage, {}, intervals) == expected


def test_recalls_have_wilson_intervals() -> None:
    matrix = {"test/kind": {"classes": ["benign", "malignant", "none"], "counts": [[9, 1, 0], [5, 15, 0], [0, 0, 0]]}}
    found = dict(recall_intervals(matrix))
    for name, hits, count in (("benign", 9, 10), ("malignant", 15, 20)):
        expected = binomtest(hits, count).proportion_ci(method="wilson")
        assert found[f"test/kind/recall/{name}"] == pytest.approx((expected.low, expected.high))
    assert all(math.isnan(end) for end in found["test/kind/recall/none"] if end is not None)


def test_the_answer_of_a_run_says_that_it_is_one() -> None:
    results = {"metrics": {"test/lesion/dice": 0.5}, "config": {"tasks": {"lesion": {}}}}
    assert run_answer(results, {}, {"test": 1234}) == (
        "On 1,234 test images. Lesion: Dice 0.500. This is one run: evaluate.py adds the other intervals."
    )
    assert run_answer({**results, "metrics": {"val/lesion/dice": 0.5}}, {}, {}).startswith("On validation images. ")
    assert run_answer({**results, "metrics": {}}, {}, {}) == "This run has no metric of a task."


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"dice_global": 0.8, "dice_lesion": 0.7}, "Lesion: Dice over all pixels 0.800"),
        ({"dice_global": 0.9, "dice_lesion": 0.8}, "Lesion: Dice per image 0.800"),
        ({"dice_global": 0.8, "dice_lesion": 0.8}, "Lesion: Dice 0.800"),
        ({}, "Lesion: Dice 0.800"),
    ],
)
def test_dice_says_what_it_is_over(over: dict[str, float], words: str) -> None:
    metrics = {"test/lesion/dice": 0.8, **{f"test/lesion/{name}": value for name, value in over.items()}}
    assert task_answers(metrics, ["lesion"], "test", {}, {}) == [words]


def test_brackets_are_explained_where_there_are_any() -> None:
    metrics = {"test/kind/accuracy": 0.7, "test/kind/recall/no": 0.9, "test/kind/recall/yes": 0.5}
    counts = {"test/kind": {"classes": ["no", "yes"], "counts": [[9, 1], [5, 5]]}}
    results = {"metrics": metrics, "config": {"tasks": {"kind": {}}}, "confusion": counts}
    assert " is the weakest. [low, high]: 95 % interval over images. This is" in run_answer(results, {}, {})
