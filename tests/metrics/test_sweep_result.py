"""What follows from counts: aggregates, the choice of a threshold, and what cannot be known."""

import math
from collections.abc import Sequence
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.metrics import Aggregate, SweepResult

GRID = [round(0.1 + 0.01 * index, 9) for index in range(81)]
BOTH: tuple[Aggregate, ...] = ("global", "per_image")


def result(
    thresholds: Sequence[float], tp: list[list[int]], fp: list[list[int]], positives: Sequence[int]
) -> SweepResult:
    return SweepResult(torch.tensor(thresholds), torch.tensor(tp), torch.tensor(fp), torch.tensor(positives))


def test_a_missed_tiny_lesion_shows_per_image_and_not_globally() -> None:
    found = result([0.5], [[4000], [0]], [[0], [0]], [4000, 7]).at(0, "global")
    assert 1 - found["dice_global"] == pytest.approx(0.0009, abs=5e-5)
    assert found["dice_lesion"] == found["iou_lesion"] == 0.5
    assert found["recall"] == pytest.approx(4000 / 4007)


def test_the_aggregate_says_which_dice_and_iou_count() -> None:
    counts = result([0.5], [[3], [1], [0]], [[1], [3], [1]], [6, 1, 0])
    overall, per_image = counts.at(0, "global"), counts.at(0, "per_image")
    # global: tp 4, fp 5, fn 3; images: tp 3, fp 1, fn 3 and tp 1, fp 3, fn 0, and one without foreground
    assert overall["dice"] == pytest.approx(8 / 16)
    assert overall["iou"] == pytest.approx(4 / 12)
    assert per_image["dice"] == pytest.approx((6 / 10 + 2 / 5) / 2)
    assert per_image["iou"] == pytest.approx((3 / 7 + 1 / 4) / 2)
    assert {key: value for key, value in overall.items() if key not in ("dice", "iou")} == {
        key: value for key, value in per_image.items() if key not in ("dice", "iou")
    }
    assert overall["precision"] == pytest.approx(4 / 9)
    assert overall["recall"] == pytest.approx(4 / 7)


def test_images_without_foreground_stand_apart() -> None:
    counts = result([0.3, 0.5], [[2, 2], [0, 0], [0, 0]], [[0, 0], [3, 0], [0, 0]], [2, 0, 0])
    assert counts.at(0, "global")["specificity_empty"] == 0.5
    assert counts.at(1, "global")["specificity_empty"] == 1.0
    assert counts.curve("per_image").tolist() == [1.0, 1.0], "they do not count per image"
    assert counts.curve("global").tolist() == pytest.approx([4 / 7, 1.0]), "their false positives count globally"


def test_without_empty_images_their_share_is_unknown() -> None:
    assert math.isnan(result([0.5], [[1]], [[0]], [1]).at(0, "global")["specificity_empty"])


@pytest.mark.parametrize("aggregate", BOTH)
def test_without_any_foreground_dice_is_unknown_and_the_threshold_nearest_to_a_half(aggregate: Aggregate) -> None:
    grid = [0.1, 0.3, 0.45, 0.6, 0.9]
    counts = result(grid, [[0] * 5, [0] * 5], [[9, 7, 5, 3, 0], [2, 0, 0, 0, 0]], [0, 0])
    assert counts.curve(aggregate).isnan().all()
    assert grid[counts.best(aggregate)] == 0.45
    values = counts.at(2, aggregate)
    assert values.pop("specificity_empty") == 0.5
    assert values.pop("precision") == 0.0, "five pixels were predicted, none right"
    assert all(math.isnan(value) for value in values.values())


def test_precision_without_a_prediction_is_unknown_but_dice_is_0() -> None:
    values = result([0.5], [[0]], [[0]], [4]).at(0, "global")
    assert math.isnan(values["precision"])
    assert values["dice"] == values["iou"] == values["recall"] == 0.0


@pytest.mark.parametrize(
    ("grid", "tp", "chosen"),
    [
        ([0.2, 0.4, 0.8], [5, 9, 3], 0.4),
        ([0.1, 0.2, 0.9], [9, 9, 1], 0.2),
        ([0.3, 0.4, 0.6, 0.7], [9, 9, 9, 9], 0.4),
        ([0.3, 0.6, 0.7], [9, 5, 9], 0.3),
        ([0.1, 0.5, 0.9], [0, 0, 0], 0.5),
        ([0.7, 0.8, 0.9], [9, 9, 9], 0.7),
    ],
)
def test_the_best_threshold(grid: list[float], tp: list[int], chosen: float) -> None:
    counts = result(grid, [tp], [[0] * len(grid)], [10])
    assert {grid[counts.best(aggregate)] for aggregate in BOTH} == {chosen}


@pytest.mark.parametrize("step", range(1, 41))
def test_of_two_equally_good_and_equally_near_thresholds_the_lower_is_chosen(step: int) -> None:
    tp = [9 if index in (40 - step, 40 + step) else 1 for index in range(81)]
    assert result(GRID, [tp], [[0] * 81], [10]).best("global") == 40 - step


def test_equal_ratios_of_different_counts_are_a_tie() -> None:
    counts = result([0.3, 0.6], [[2, 4]], [[0, 4]], [4])  # 2 TP / (2 TP + FP + FN)
    assert counts.curve("global").tolist() == pytest.approx([4 / 6, 8 / 12])
    assert counts.best("global") == 1, "nearer to a half"


def test_only_candidates_are_chosen() -> None:
    counts = result([0.3, 0.5, 0.6], [[5, 9, 7]], [[0, 0, 0]], [10])
    assert counts.best("global", torch.tensor([True, False, True])) == 2
    empty = result([0.3, 0.5, 0.6], [[0, 0, 0]], [[0, 0, 0]], [0])
    assert empty.best("global", torch.tensor([True, False, True])) == 2, "nearest to a half among them"


@pytest.mark.parametrize("index", range(0, 81, 8))
def test_a_threshold_is_found_again_by_its_value(index: int) -> None:
    counts = result(GRID, [[0] * 81], [[0] * 81], [0])
    assert counts.index_of(GRID[index]) == index
    assert counts.index_of(float(counts.thresholds[index])) == index


def test_a_threshold_that_was_not_counted_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold 0\.333 was not counted; add it"):
        result([0.3, 0.5], [[0, 0]], [[0, 0]], [0]).index_of(0.333)


COUNTS = st.integers(0, 50)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS), min_size=1, max_size=6))
def test_dice_is_never_below_iou(images: list[tuple[int, int, int]]) -> None:
    tp, fp = [[image[0]] for image in images], [[image[1]] for image in images]
    values = result([0.5], tp, fp, [image[0] + image[2] for image in images]).at(0, "global")
    for dice, iou in (("dice", "iou"), ("dice_lesion", "iou_lesion")):
        assert math.isnan(values[dice]) == math.isnan(values[iou])
        if not math.isnan(values[dice]):
            assert 0 <= values[iou] <= values[dice] <= 1
    if values["dice"] > 0:
        assert values["iou"] == pytest.approx(values["dice"] / (2 - values["dice"]), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(COUNTS, COUNTS, st.integers(1, 50)), min_size=2, max_size=40), st.randoms())
def test_the_order_of_images_changes_no_bit(images: list[tuple[int, int, int]], random: Random) -> None:
    def mean(rows: list[tuple[int, int, int]]) -> float:
        counts = result(
            [0.5], [[row[0]] for row in rows], [[row[1]] for row in rows], [row[0] + row[2] for row in rows]
        )
        return float(counts.curve("per_image"))

    shuffled = random.sample(images, len(images))
    assert mean(shuffled) == mean(images)
    exact = math.fsum(2 * tp / (2 * tp + fp + fn) for tp, fp, fn in images) / len(images)
    assert mean(images) == pytest.approx(exact, abs=1e-12)
