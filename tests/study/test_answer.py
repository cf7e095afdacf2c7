"""What a study answers first: the best cell, the noise around it, and which hyperparameters matter."""

import itertools
import math
from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from scipy.stats import ttest_rel

from tandem.study import effects
from tandem.study.analysis import analyse
from tandem.study.answer import study_answer
from tandem.study.effects import effects_of
from tandem.study.report.grids import colour_range
from tandem.study.runs import read_study
from tandem.study.statistics import holm, paired

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
    assert "; on test data it has segmentation Dice" in said
    assert "(mean ± standard deviation, 4 seeds)" in said
    assert "1 of 3 other cells are within noise of it." in said
    assert "Gamma matters (2 is 0.048 above 1, p = " in said, "which value is better, and by how much"
    assert said.endswith("; no effect of alpha is shown.")


def test_effects_that_cancel_on_average_are_not_called_none(make: Any) -> None:
    """Gamma helps at one alpha and harms at the other: the cells differ by .1, the means do not."""
    rng = np.random.default_rng(0)
    values = {
        (gamma, alpha, seed): 0.7 + (0.05 if (gamma == 1) == (alpha == 0.25) else -0.05) + float(rng.normal(0, 0.003))
        for gamma, alpha, seed in itertools.product((1.0, 2.0), (0.25, 0.75), range(5))
    }
    analysis = grid(make, values)
    effects = effects_of(VAL, analysis.cells, list(analysis.params.values()))
    assert [(one.shown, one.depends) for one in effects] == [(False, True)] * 2
    raw = [
        float(ttest_rel(*([values[gamma, alpha, seed] for seed in range(5)] for gamma in (1.0, 2.0))).pvalue)
        for alpha in (0.25, 0.75)
    ] + [
        float(ttest_rel(*([values[gamma, alpha, seed] for seed in range(5)] for alpha in (0.25, 0.75))).pvalue)
        for gamma in (1.0, 2.0)
    ]
    assert all(any(one.alone == pytest.approx(p) for p in holm(raw)) for one in effects)
    said = study_answer(analysis)
    assert "Gamma matters at some values of the others (p = " in said
    assert "no effect of" not in said


def test_a_search_of_many_values_with_one_seed_compares_few_pairs(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 60 values has one run: 1770 pairs, of which none can have a p."""
    for place in range(60):
        make({GAMMA: place / 7, "seed": 0}, {VAL: 0.5 + place / 1000, TEST: 0.5})
    analysis = analyse(read_study([make.folder]))
    compare = Mock(wraps=effects._difference)
    monkeypatch.setattr(effects, "_difference", compare)
    (found,) = effects_of(VAL, analysis.cells, list(analysis.params.values()))
    assert (found.n, math.isnan(found.p), found.shown) == (1, True, False)
    assert compare.call_count == 1


def test_values_with_too_few_seeds_take_no_pair_from_the_others(make: Any) -> None:
    """Three values have four seeds, two have one: the test of the three is that of a study without the two."""
    rng = np.random.default_rng(3)
    for gamma, seeds in ((0.5, 1), (1.0, 4), (2.0, 4), (3.0, 4), (4.0, 1)):
        for seed in range(seeds):
            make({GAMMA: gamma, "seed": seed}, {VAL: 0.6 + 0.02 * gamma + float(rng.normal(0, 0.002)), TEST: 0.5})
    analysis = analyse(read_study([make.folder]))
    (found,) = effects_of(VAL, analysis.cells, list(analysis.params.values()))
    known = {cell.values[0]: list(cell.known(VAL).values()) for cell in analysis.cells if len(cell.runs) == 4}
    pairs = list(itertools.combinations(known, 2))
    corrected = holm([float(ttest_rel(known[other], known[one]).pvalue) for one, other in pairs])
    assert (found.n, found.one, found.other) == (4, 1.0, 3.0)
    assert found.p == pytest.approx(corrected[pairs.index((1.0, 3.0))])


def test_the_largest_clear_difference_is_named(make: Any) -> None:
    spread = {1.0: (0.60, 0.001), 2.0: (0.61, 0.001), 3.0: (0.70, 0.004)}
    rng = np.random.default_rng(1)
    for gamma, (mean, noise) in spread.items():
        for seed in range(6):
            value = mean + float(rng.normal(0, noise))
            make({GAMMA: gamma, "seed": seed}, {VAL: value, TEST: value})
    assert "Gamma matters (3 is 0.099 above 1" in study_answer(analyse(read_study([make.folder])))


def test_cells_without_the_monitored_number_are_not_called_worse(make: Any) -> None:
    for gamma, seed in itertools.product((1.0, 2.0, 3.0), range(3)):
        value = 0.5 + gamma / 10 + seed / 100
        make({GAMMA: gamma, "seed": seed}, {VAL: None if gamma == 3 else value, TEST: value})
    assert "0 of 1 other cells are within noise of it; 1 cell without this number is left out." in study_answer(
        analyse(read_study([make.folder]))
    )


def test_the_best_of_equal_cells_is_rarely_called_better(make: Any) -> None:
    """Of 60 studies of nine equal cells one half would say so without Holm's correction; at most 12 may."""
    alarms = 0
    for study in range(60):
        values = np.random.default_rng(study).normal(size=(9, 5)) / 100
        best = int(values.mean(1).argmax())
        found = [paired((row - values[best]).tolist()).p for place, row in enumerate(values) if place != best]
        alarms += min(holm(found)) < 0.05
    assert alarms <= 12


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
    [(1, "what matters, cannot be judged from fewer than 3 seeds or folds."), (2, "Whether that is more than noise")],
)
def test_too_few_seeds_judge_nothing(make: Any, seeds: int, words: str) -> None:
    said = study_answer(grid(make, noisy(0.05, seeds)))
    assert words in said
    assert "within noise" not in said, "one verdict, once"


def test_a_single_cell_and_undefined_numbers(make: Any) -> None:
    for seed in range(2):
        make({"seed": seed}, {VAL: 0.5, TEST: None if seed else 0.4})
    said = study_answer(analyse(read_study([make.folder])))
    assert said == "2 seeds of one setting, on test data: segmentation Dice 0.400 (n = 1)."


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
