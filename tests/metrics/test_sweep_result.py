"""What follows from counts: aggregates, the choice of a threshold, and what cannot be known."""

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.errors import ConfigError
from tandem.metrics import Aggregate, Objective, SweepResult
from tandem.metrics.counts import MEASURES, Counts

GRID = [round(0.1 + 0.01 * index, 9) for index in range(81)]
BOTH: tuple[Aggregate, ...] = ("global", "per_image")


def result(
    thresholds: Sequence[float],
    tp: list[list[int]],
    fp: list[list[int]],
    positives: Sequence[int],
    negatives: Sequence[int] | None = None,
    **objective: Any,
) -> SweepResult:
    """Of one class, from a list for each image; 100 negatives in each, unless given."""
    parts = (tp, fp, [[n] for n in positives], [[n] for n in negatives or [100] * len(positives)])
    counts = Counts(*(torch.tensor(part).unsqueeze(1) for part in parts))
    return SweepResult(torch.tensor(thresholds), counts, Objective(**objective))


def test_a_missed_tiny_lesion_shows_per_image_and_not_globally() -> None:
    found = result([0.5], [[4000], [0]], [[0], [0]], [4000, 7])
    assert 1 - found.dice == pytest.approx(0.0009, abs=5e-5)
    assert found.curve.recall.tolist() == pytest.approx([4000 / 4007])
    each = found.by(aggregate="per_image")
    assert each.dice == each.iou == 0.5


def test_the_aggregate_says_which_dice_and_iou_count() -> None:
    overall = result([0.5], [[3], [1], [0]], [[1], [3], [1]], [6, 1, 0])
    per_image = overall.by(aggregate="per_image")
    # global: tp 4, fp 5, fn 3; images: tp 3, fp 1, fn 3 and tp 1, fp 3, fn 0, and one without foreground
    assert overall.dice == overall.dice_at(0.5) == pytest.approx(8 / 16)
    assert overall.iou == pytest.approx(4 / 12)
    assert per_image.dice == per_image.dice_at(0.5) == pytest.approx((6 / 10 + 2 / 5) / 2)
    assert per_image.iou == pytest.approx((3 / 7 + 1 / 4) / 2)
    for each in (overall, per_image):
        assert each.curve.precision.tolist() == pytest.approx([4 / 9]), "over all pixels"
        assert each.curve.recall.tolist() == pytest.approx([4 / 7])


def test_images_without_foreground_stand_apart() -> None:
    counts = result([0.3, 0.5], [[2, 2], [0, 0], [0, 0]], [[0, 0], [3, 0], [0, 0]], [2, 0, 0])
    assert counts.specificity_empty().tolist() == [[0.5, 1.0]]
    assert counts.by(aggregate="per_image").curve.dice.tolist() == [1.0, 1.0], "they do not count per image"
    assert counts.curve.dice.tolist() == pytest.approx([4 / 7, 1.0]), "their false positives count globally"


def test_images_without_foreground_score_1_or_0_where_asked() -> None:
    tp, fp = [[2, 1], [0, 0], [0, 0], [0, 0]], [[0, 0], [3, 0], [1, 1], [0, 0]]
    # the last image has no known pixel, so it counts nowhere
    counts = result([0.3, 0.5], tp, fp, [2, 0, 0, 0], [9, 9, 9, 0], aggregate="per_image", empty="score")
    assert counts.curve.dice.tolist() == pytest.approx([(1 + 0 + 0) / 3, (2 / 3 + 1 + 0) / 3])
    assert counts.measure("iou")[0].tolist() == pytest.approx([1 / 3, (1 / 2 + 1 + 0) / 3])
    assert counts.specificity_empty().tolist() == [[0.0, 0.5]]
    assert counts.by(empty="skip").curve.dice.tolist() == pytest.approx([1.0, 2 / 3])
    assert float(counts.threshold) == 0.5
    assert float(counts.by(empty="skip").threshold) == pytest.approx(0.3)


def test_without_empty_images_their_share_is_unknown() -> None:
    assert result([0.5], [[1]], [[0]], [1]).specificity_empty().isnan().all()


@pytest.mark.parametrize("aggregate", BOTH)
def test_without_any_foreground_dice_is_unknown_and_the_threshold_nearest_to_a_half(aggregate: Aggregate) -> None:
    grid = [0.1, 0.3, 0.45, 0.6, 0.9]
    counts = result(grid, [[0] * 5, [0] * 5], [[9, 7, 5, 3, 0], [2, 0, 0, 0, 0]], [0, 0], aggregate=aggregate)
    assert counts.curve.dice.isnan().all()
    assert counts.curve.recall.isnan().all()
    assert float(counts.threshold) == pytest.approx(0.45)
    for value in (counts.dice, counts.iou, counts.score, counts.dice_at(0.6)):
        assert math.isnan(value)
    assert counts.curve.precision[2] == 0.0, "five pixels were predicted, none right"


@pytest.mark.parametrize(("goal", "score"), [("youden", math.nan), ("sensitivity", 0.8)])
def test_without_any_negative_specificity_chooses_nothing(goal: str, score: float) -> None:
    counts = result([0.2, 0.4, 0.9], [[5, 4, 3]], [[0, 0, 0]], [5], [0], goal=goal)
    assert counts.threshold == pytest.approx(0.4)
    assert float(counts.score) == pytest.approx(score, nan_ok=True)


def test_precision_without_a_prediction_is_unknown_but_dice_is_0() -> None:
    counts = result([0.5], [[0]], [[0]], [4])
    assert counts.curve.precision.isnan().all()
    assert counts.dice == counts.iou == counts.curve.recall[0] == 0.0


def test_each_class_has_its_own_threshold() -> None:
    one, other = result([0.3, 0.5], [[5, 9]], [[0, 0]], [10]), result([0.3, 0.5], [[8, 2]], [[1, 0]], [9])
    both = SweepResult(
        one.thresholds, Counts(*map(torch.cat, zip(one.counts, other.counts, strict=True), [1] * 4)), one.objective
    )
    assert len(both) == 2
    assert both.threshold.tolist() == pytest.approx([0.5, 0.3])
    assert both.dice.tolist() == [one.dice, other.dice]
    assert both.curve.dice.tolist() == [one.curve.dice.tolist(), other.curve.dice.tolist()]
    assert [float(each.iou) for each in (both[0], both[-1])] == both.iou.tolist() == [one.iou, other.iou]
    with pytest.raises(IndexError):
        both[2]


def test_a_mean_per_image_needs_images() -> None:
    summed = SweepResult(torch.tensor([0.5]), result([0.5], [[1]], [[0]], [1]).counts, Objective(), images=False)
    for ask in (lambda: summed.by(aggregate="per_image"), summed.bootstrap, summed.nested, summed.specificity_empty):
        with pytest.raises(ConfigError, match="does not keep counts by image; create it with images=True"):
            ask()


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
    for aggregate in BOTH:
        assert float(counts.by(aggregate=aggregate).threshold) == pytest.approx(chosen)


@pytest.mark.parametrize("step", range(1, 41))
def test_of_two_equally_good_and_equally_near_thresholds_the_lower_is_chosen(step: int) -> None:
    tp = [9 if index in (40 - step, 40 + step) else 1 for index in range(81)]
    assert result(GRID, [tp], [[0] * 81], [10]).best() == 40 - step


def test_equal_ratios_of_different_counts_are_a_tie() -> None:
    counts = result([0.3, 0.6], [[2, 4]], [[0, 4]], [4])  # 2 TP / (2 TP + FP + FN)
    assert counts.curve.dice.tolist() == pytest.approx([4 / 6, 8 / 12])
    assert counts.best() == 1, "nearer to a half"


def test_only_candidates_are_chosen() -> None:
    counts = result([0.3, 0.5, 0.6], [[5, 9, 7]], [[0, 0, 0]], [10])
    assert counts.best(torch.tensor([True, False, True])) == 2
    empty = result([0.3, 0.5, 0.6], [[0, 0, 0]], [[0, 0, 0]], [0])
    assert empty.best(torch.tensor([True, False, True])) == 2, "nearest to a half among them"


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
    counts = result([0.5], tp, fp, [image[0] + image[2] for image in images])
    for aggregate in BOTH:
        for empty in ("skip", "score"):
            found = counts.by(aggregate=aggregate, empty=empty)
            dice, iou = float(found.dice), float(found.iou)
            assert math.isnan(dice) == math.isnan(iou)
            assert math.isnan(dice) or 0 <= iou <= dice <= 1
    if counts.dice > 0:
        assert float(counts.iou) == pytest.approx(float(counts.dice / (2 - counts.dice)), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(COUNTS, COUNTS, st.integers(1, 50)), min_size=2, max_size=40), st.randoms())
def test_the_order_of_images_changes_no_bit(images: list[tuple[int, int, int]], random: Random) -> None:
    def mean(rows: list[tuple[int, int, int]]) -> float:
        counts = result(
            [0.5], [[row[0]] for row in rows], [[row[1]] for row in rows], [row[0] + row[2] for row in rows]
        )
        return float(counts.by(aggregate="per_image").dice)

    shuffled = random.sample(images, len(images))
    assert mean(shuffled) == mean(images)
    exact = math.fsum(2 * tp / (2 * tp + fp + fn) for tp, fp, fn in images) / len(images)
    assert mean(images) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(
    ("goal", "knobs", "chosen"),
    [
        ("dice", {}, 0.5),
        ("f1", {}, 0.5),
        ("iou", {}, 0.5),
        ("fbeta", {"beta": 1.0}, 0.5),
        ("fbeta", {"beta": 3.0}, 0.2),
        ("fbeta", {"beta": 0.1}, 0.9),
        ("youden", {}, 0.2),
        ("sensitivity", {"specificity": 0.98}, 0.5),
        ("sensitivity", {"specificity": 0.9}, 0.2),
        ("sensitivity", {"specificity": 0.999}, 0.9),
        ("sensitivity", {"specificity": 1.0}, 0.9),
    ],
)
def test_the_objective_says_which_threshold_is_best(goal: str, knobs: dict[str, float], chosen: float) -> None:
    counts = result([0.2, 0.5, 0.9], [[99, 80, 40]], [[80, 20, 1]], [100], [1000], goal=goal, **knobs)
    assert float(counts.threshold) == pytest.approx(chosen)
    index = [0.2, 0.5, 0.9].index(chosen)
    assert float(counts.score) == float(counts.measure(goal)[0, index])


def test_ties_of_youden_are_ties() -> None:
    counts = result([0.3, 0.6], [[4, 3]], [[7, 6]], [10], [10], goal="youden")
    assert counts.threshold == pytest.approx(0.6), "4/10 - 7/10 is 3/10 - 6/10, and 0.6 is nearer to a half"


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"goal": "dise"}, "objective is 'dise': did you mean 'dice'"),
        ({"aggregate": "batch"}, "aggregate is 'batch': there are: global, per_image"),
        ({"empty": "zero"}, "empty is 'zero'"),
        ({"goal": "youden", "aggregate": "per_image"}, "'youden' is counted over all rows or pixels"),
        ({"goal": "fbeta", "beta": 0.0}, r"beta is 0\.0, but must be above 0"),
        ({"beta": math.nan}, "beta is nan"),
        ({"specificity": 1.5}, r"specificity is 1\.5, but must lie in \[0, 1\]"),
    ],
)
def test_an_objective_that_means_nothing_is_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Objective(**knobs)


def test_every_measure_lies_in_its_range() -> None:
    counts = result([0.2, 0.5, 0.9], [[9, 8, 0]], [[80, 2, 0]], [10], [100])
    for name in MEASURES:
        values = counts.measure(name)[0]
        assert ((values >= (-1 if name == "youden" else 0)) & (values <= 1) | values.isnan()).all()
