"""What a study answers first: the best cell, the noise around it, and which hyperparameters matter."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from tandem.study.analysis import analyse
from tandem.study.answer import study_answer
from tandem.study.effects import effects_of
from tandem.study.report.grids import colour_range
from tandem.study.runs import read_study

GAMMA, ALPHA = "tasks.segmentation.loss.gamma", "tasks.segmentation.loss.alpha"
VAL, TEST = "val/segmentation/dice", "test/segmentation/dice"


def grid(make: Any, values: Mapping[tuple[float, float, int], float]) -> Any:
    for (gamma, alpha, seed), value in values.items():
        make({GAMMA: gamma, ALPHA: alpha, "seed": seed}, {VAL: value, TEST: value - 0.01})
    return analyse(read_study([make.folder]))


def noisy(effect: float, seeds: int, seed: int = 0) -> dict[tuple[float, float, int], float]:
    """Gamma adds `effect`, alpha nothing; the noise of each run is .002."""
    rng = np.random.default_rng(seed)
    return {
        (gamma, alpha, one): 0.7 + effect * (gamma - 1) + float(rng.normal(0, 0.002))
        for gamma, alpha, one in itertools.product((1.0, 2.0), (0.25, 0.75), range(seeds))
    }


def test_one_hyperparameter_matters_and_the_other_is_not_shown_to(make: Any) -> None:
    analysis = grid(make, noisy(0.05, 4))
    said = study_answer(analysis)
    assert "gamma=2" in said.partition(" was best on validation data: ")[0]
    assert "(n = 4); on test data it has segmentation Dice" in said
    assert "1 of 3 other cells are within noise of it." in said
    assert "Gamma matters (p = " in said
    assert "no effect of alpha is shown." in said


def test_p_values_are_those_of_paired_t_tests_with_holm_s_correction(make: Any) -> None:
    values = noisy(0.004, 5)
    analysis = grid(make, values)
    found = {one.label: one for one in effects_of(VAL, analysis.cells, list(analysis.params.values()))}
    means = {
        name: [
            [
                np.mean([value for key, value in values.items() if key[place] == level and key[2] == seed])
                for seed in range(5)
            ]
            for level in levels
        ]
        for name, place, levels in (("gamma", 0, (1.0, 2.0)), ("alpha", 1, (0.25, 0.75)))
    }
    raw = {name: float(ttest_rel(*both).pvalue) for name, both in means.items()}
    low, high = sorted(raw.values())
    holm = {low: min(1.0, 2 * low), high: max(min(1.0, 2 * low), high)}
    assert {name: one.p for name, one in found.items()} == pytest.approx({name: holm[p] for name, p in raw.items()})
    assert {one.n for one in found.values()} == {5}


def test_noise_alone_is_rarely_called_an_effect(make: Any) -> None:
    """The family-wise level is 5 %: over 60 studies of noise, at most 8 (p < .01 to exceed) name any effect."""

    class Fake:
        def __init__(self, values: tuple[float, float], known: dict[Any, float]) -> None:
            self.values, self._known = values, known
            self.runs: dict[Any, Any] = dict.fromkeys(known)

        def known(self, metric: str) -> dict[Any, float]:
            return self._known

    alarms = 0
    for study in range(60):
        values = noisy(0.0, 4, seed=study)
        cells: Any = [
            Fake((gamma, alpha), {(("seed", one),): values[gamma, alpha, one] for one in range(4)})
            for gamma, alpha in itertools.product((1.0, 2.0), (0.25, 0.75))
        ]
        alarms += any(one.shown for one in effects_of(VAL, cells, ["gamma", "alpha"]))
    assert alarms <= 8


@pytest.mark.parametrize(
    ("seeds", "words"),
    [(1, "What matters cannot be judged from fewer than 3 seeds or folds."), (2, "cannot be judged")],
)
def test_too_few_seeds_judge_nothing(make: Any, seeds: int, words: str) -> None:
    said = study_answer(grid(make, noisy(0.05, seeds)))
    assert words in said
    assert "All 3 other cells are within noise of it." in said


def test_a_single_cell_and_undefined_numbers(make: Any) -> None:
    for seed in range(2):
        make({"seed": seed}, {VAL: 0.5, TEST: None if seed else 0.4})
    said = study_answer(analyse(read_study([make.folder])))
    assert said.startswith("2 runs of one setting: segmentation Dice")
    assert "0.400 (n = 1)" in said


def test_colours_are_no_finer_than_the_noise(make: Any) -> None:
    analysis = grid(make, noisy(0.0, 3))
    low, high = colour_range(VAL, analysis.cells)
    widths = sorted(end - start for start, end in (cell.interval(VAL) for cell in analysis.cells))
    assert high - low == pytest.approx(max(widths[2], high - low))
    assert high - low >= widths[2] - 1e-12


def test_colours_span_the_means_where_they_differ_by_more(make: Any) -> None:
    analysis = grid(make, noisy(0.2, 3))
    means = [cell.summary(VAL).mean for cell in analysis.cells]
    assert colour_range(VAL, analysis.cells) == pytest.approx((min(means), max(means)))
    assert colour_range("val/none", analysis.cells) == (0.0, 1.0)
    assert not math.isnan(sum(means))
