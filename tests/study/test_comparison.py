"""Pairs with the same seed and fold, the named baseline, the choice, multi-task against single-task runs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tandem.errors import ConfigError
from tandem.study.analysis import Analysis, analyse
from tandem.study.runs import read_study
from tandem.study.table import Number
from tandem.study.tables import all_tables, main_table
from tandem.study.units import overlap_of

GAMMA = "tasks.segmentation.loss.gamma"
DICE, ACCURACY = "test/segmentation/dice", "test/classification/balanced_accuracy"
SEGMENTATION = {"tasks.classification!": 0, "balance.weights.classification!": 0}
CLASSIFICATION = {
    "tasks.segmentation!": 0, "balance.weights.segmentation!": 0, "monitor": "val/classification/balanced_accuracy",
    "callbacks.best.monitor": "val/classification/balanced_accuracy",
}  # fmt: skip


def analysed(make: Any, *baseline: str) -> Analysis:
    return analyse(read_study([make.folder]), baseline)


def test_pairs_have_the_same_seed_and_fold(make: Any) -> None:
    numbers = {
        (1.0, 0, 0): 0.5,
        (1.0, 0, 1): 0.7,
        (1.0, 1, 0): 0.4,
        (2.0, 0, 1): 0.8,
        (2.0, 1, 0): 0.3,
        (2.0, 2, 0): 9.0,
    }
    for (gamma, seed, fold), dice in numbers.items():
        make({GAMMA: gamma, "seed": seed, "data.fold": fold}, {DICE: dice})
    [one] = analysed(make, "gamma=1").comparisons[DICE]
    assert (one.cell.label, one.pairs) == ("gamma=2", 2)
    assert one.paired.difference == pytest.approx((0.8 - 0.7 + 0.3 - 0.4) / 2)
    assert one.verdict == "n = 2: no interval"


def test_seeds_are_judged_by_a_paired_t_test_with_holms_correction(make: Any) -> None:
    values = {1.0: [0.50 + seed / 100 for seed in range(4)]}
    values[2.0] = [value + 0.03 + index / 1000 for index, value in enumerate(values[1.0])]
    values[3.0] = [value + (-1) ** index * (0.01 + index / 1000) for index, value in enumerate(values[1.0])]
    for gamma, dices in values.items():
        for seed, dice in enumerate(dices):
            make({GAMMA: gamma, "seed": seed}, {DICE: dice, "test/segmentation/hd95": dice})
    found = analyse(read_study([make.folder]), ["gamma=1"], [DICE, "test/segmentation/hd95"])
    better, neither = found.comparisons[DICE]
    worse, _ = found.comparisons["test/segmentation/hd95"]
    expected = [stats.ttest_rel(values[gamma], values[1.0]).pvalue for gamma in (2.0, 3.0)]
    assert [better.paired.p, neither.paired.p] == pytest.approx(expected)
    assert better.holm == pytest.approx(2 * expected[0])
    assert [better.verdict, neither.verdict, worse.verdict] == ["better", "no difference shown", "worse"]


QUARTERS: dict[str, Any] = {"folds": 4, "fractions": {"train": 0.6, "val": 0.15, "test": 0.25}}
FOLDS = {f"data.{key}": value for key, value in QUARTERS.items()}


def test_folds_share_training_images_and_seeds_of_one_fold_are_averaged_first(make: Any) -> None:
    gains = {(seed, fold): 0.01 + fold / 200 + seed / 1000 for seed in (0, 1) for fold in range(4)}
    for (seed, fold), gain in gains.items():
        for gamma, dice in ((1.0, 0.5), (2.0, 0.5 + gain)):
            make({GAMMA: gamma, "seed": seed, "data.fold": fold, **FOLDS}, {DICE: dice})
    [one] = analysed(make, "gamma=1").comparisons[DICE]
    means = [(gains[0, fold] + gains[1, fold]) / 2 for fold in range(4)]
    error = float(np.std(means, ddof=1)) * math.sqrt(1 / 4 + 0.25 / 0.6)
    assert (one.pairs, one.paired.n) == (8, 4)
    assert one.paired.p == pytest.approx(2 * stats.t.sf(np.mean(means) / error, 3))
    assert one.paired.high - one.paired.low == pytest.approx(2 * stats.t.ppf(0.975, 3) * error)


@pytest.mark.parametrize(
    ("data", "ratio"),
    [
        ({"folds": 5}, 1 / 4),
        (QUARTERS, 0.25 / 0.6),
        ({"folds": None, "fractions": {"train": 0.7, "val": 0.15, "test": 0.15}}, 0.15 / 0.7),
        ({}, 1 / 4),
        ({"sources": {"one": {"folds": 5}, "two": QUARTERS}}, 0.25 / 0.6),
    ],
)
def test_sizes_of_test_and_training_split_follow_from_the_options_of_the_data(data: Any, ratio: float) -> None:
    assert overlap_of(data) == pytest.approx(ratio)


def test_synthetic_data_of_other_seeds_share_no_images(make: Any) -> None:
    for seed in range(3):
        make({GAMMA: 1.0, "seed": seed, "data.seed": seed}, {DICE: 0.5})
        make({GAMMA: 2.0, "seed": seed, "data.seed": seed}, {DICE: 0.6 + seed / 100})
    [one] = analysed(make, "gamma=1").comparisons[DICE]
    assert one.paired.p == pytest.approx(stats.ttest_1samp([0.10, 0.11, 0.12], 0).pvalue)


def test_unknown_numbers_make_no_pair(make: Any) -> None:
    make({GAMMA: 1.0}, {DICE: None})
    make({GAMMA: 2.0}, {DICE: 0.5})
    [one] = analysed(make, "gamma=1").comparisons[DICE]
    assert (one.paired.n, one.verdict) == (0, "no pair with the same seed and fold")
    assert math.isnan(one.holm)


@pytest.mark.parametrize("typed", [["gamma=2"], ["gamma=2.0"], [f"{GAMMA}=2"]])
def test_a_baseline_is_named_as_one_types_it(make: Any, typed: list[str]) -> None:
    make.grid(seeds=1)
    found = analysed(make, *typed, "alpha=0.25").baseline
    assert found is not None
    assert found.label == "gamma=2, alpha=0.25"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["gama=2"], "'gama' was not swept; did you mean 'gamma'?"),
        (["gamma=7"], "no run has this value; there are: 1, 2"),
        (["gamma"], "baseline 'gamma' is no key=value"),
        (["gamma=2"], "baseline 'gamma=2' fits 3 cells (gamma=2, alpha=0.25; "),
        (["gamma=1", "gamma=2"], "fits no cell"),
    ],
)
def test_a_baseline_that_names_no_cell_is_refused(make: Any, typed: list[str], said: str) -> None:
    make.grid(seeds=1)
    with pytest.raises(ConfigError) as caught:
        analysed(make, *typed)
    assert said in str(caught.value)


def both(make: Any, seed: int, dice: float, accuracy: float, **changes: Any) -> Path:
    found: Path = make({"seed": seed, **changes}, {DICE: dice, ACCURACY: accuracy})
    return found


def test_delta_m_is_over_matched_seeds(make: Any) -> None:
    for seed, (dice, accuracy) in enumerate([(0.6, 0.4), (0.55, 0.6), (0.9, 0.9)]):
        both(make, seed, dice, accuracy)
    for seed in (0, 1):
        make({**SEGMENTATION, "seed": seed}, {DICE: 0.5})
        make({**CLASSIFICATION, "seed": seed}, {ACCURACY: 0.5})
    [delta] = analysed(make).deltas
    assert delta.tasks["segmentation"].mean == pytest.approx((20 + 10) / 2)
    assert delta.tasks["classification"].mean == pytest.approx((-20 + 20) / 2)
    assert delta.delta_m.mean == pytest.approx((0 + 15) / 2)
    assert (delta.delta_m.n, delta.note) == (2, "")


@pytest.mark.parametrize(
    "changes",
    [{"trainer.max_epochs": 4}, {"optimizer.lr": 0.1}, {"loader.batch_size": 4}, {"data.size": 64}, {"seed": 5}],
)
def test_another_budget_split_or_seed_is_no_match(make: Any, changes: dict[str, Any]) -> None:
    both(make, 0, 0.6, 0.6)
    make({**SEGMENTATION, **changes}, {DICE: 0.5})
    [delta] = analysed(make).deltas
    assert delta.tasks["segmentation"].n == 0
    assert delta.note == "no matched single-task run of classification, segmentation"


def test_other_data_are_no_match(make: Any) -> None:
    both(make, 0, 0.6, 0.6)
    make(SEGMENTATION, {DICE: 0.5}, data={"fingerprint": {"train": "other"}})
    assert analysed(make).deltas[0].delta_m.n == 0


def test_of_several_single_task_runs_that_with_the_same_loss_counts(make: Any) -> None:
    for gamma in (1.0, 2.0):
        both(make, 0, 0.6, 0.6, **{GAMMA: gamma})
        make({**SEGMENTATION, GAMMA: gamma}, {DICE: 0.5 * gamma})
    found = {delta.cell.label: delta.tasks["segmentation"].mean for delta in analysed(make).deltas}
    assert found == {
        "gamma=1, tasks=classification+segmentation": pytest.approx(20),
        "gamma=2, tasks=classification+segmentation": pytest.approx(-40),
    }


def test_a_single_match_with_another_loss_is_taken_and_named(make: Any) -> None:
    both(make, 0, 0.6, 0.6, **{GAMMA: 3.0})
    make({**SEGMENTATION, GAMMA: 2.0}, {DICE: 0.5})
    [delta] = analysed(make).deltas
    assert delta.tasks["segmentation"].mean == pytest.approx(20)
    assert "single-task runs of segmentation have another loss or other settings" in delta.note


def test_without_single_task_runs_there_is_no_delta(make: Any) -> None:
    make.grid(seeds=1)
    assert list(analysed(make).deltas) == []


def test_validation_data_choose_the_cell(make: Any) -> None:
    make({GAMMA: 1.0}, {"val/segmentation/dice": 0.6, DICE: 0.1})
    make({GAMMA: 2.0}, {"val/segmentation/dice": 0.5, DICE: 0.9})
    found = analysed(make)
    assert found.chosen is not None
    assert found.chosen.label == "gamma=1"
    assert found.metrics[0] == "val/segmentation/dice", "validation data first"
    table = main_table(found)
    named = [
        row for row in table.rows if "†" in str(row[0]) or any(isinstance(one, Number) and one.best for one in row)
    ]
    assert [row[0] for row in named] == ["1 †"], "bold and dagger name one winner"
    assert table.notes[-1] == "n = 1: differences cannot be judged (≈); train more seeds."


def test_of_equal_cells_one_is_chosen(make: Any) -> None:
    for gamma in (1.0, 2.0):
        make({GAMMA: gamma}, {"val/segmentation/dice": 0.6, DICE: gamma / 10})
    assert [row[0] for row in main_table(analysed(make)).rows] == ["1 †", "2 ≈"]


def test_cells_within_noise_of_the_best_are_named(make: Any) -> None:
    noise = {1.0: [0.0, 0.0, 0.0], 2.0: [0.01, -0.02, -0.005], 3.0: [-0.1, -0.11, -0.09], 4.0: [-0.1]}
    for gamma, values in noise.items():
        for seed, value in enumerate(values):
            make({GAMMA: gamma, "seed": seed}, {"val/segmentation/dice": 0.6 + seed / 10 + value, DICE: 0.5})
    table = main_table(analysed(make))
    assert [row[0] for row in table.rows] == ["1 †", "2 ≈", "3", "4 ≈"]
    assert any(note.startswith("≈ within noise of the best, 2 of 3: by the paired t test") for note in table.notes)
    assert "n = 1: no interval; it needs at least 3 runs." in table.notes
    assert not any("cannot be judged" in note for note in table.notes)


def test_the_interval_of_delta_m_is_a_t_interval_over_pairs(make: Any) -> None:
    gains = [10.0, 14.0, 12.0]
    for seed, gain in enumerate(gains):
        both(make, seed, 0.5 * (1 + gain / 100), 0.5 * (1 + gain / 100))
        make({**SEGMENTATION, "seed": seed}, {DICE: 0.5})
        make({**CLASSIFICATION, "seed": seed}, {ACCURACY: 0.5})
    found = analysed(make)
    expected = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert (found.deltas[0].interval.low, found.deltas[0].interval.high) == pytest.approx(tuple(expected))
    [row] = all_tables(found)["delta_m"].rows
    assert [one.mean for one in row[4:6] if isinstance(one, Number)] == pytest.approx(tuple(expected))
