"""Which hyperparameters matter: for each one, whether any two of its values differ beyond noise."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tandem.study.cells import Cell
from tandem.study.comparison import differences
from tandem.study.runs import Run
from tandem.study.statistics import LEAST, LEVEL, Paired, holm, paired, summarise
from tandem.study.swept_params import ABSENT, Replicate
from tandem.study.units import units_of


@dataclass(frozen=True)
class Effect:
    """One hyperparameter.

    Attributes:
        label: its label.
        n: seeds, or folds where these differ, of the pair of values with the most of them; 0: no two cells differ in it
            alone.
        p: of one pair of values, on average over the other hyperparameters, after Holm's correction over all pairs of
            all hyperparameters: of the pair with the largest difference beyond noise, else of that with the lowest p;
            nan below three seeds or folds.
        one: the first value of this pair.
        other: its second value.
        difference: the second minus the first, in the metric.
        alone: p of such a pair of cells that differ in it alone, after Holm's correction over all such pairs of
            all hyperparameters; nan where that is the average.
    """

    label: str
    n: int
    p: float
    one: Any = None
    other: Any = None
    difference: float = math.nan
    alone: float = math.nan

    @property
    def shown(self) -> bool:
        """Whether some two values differ beyond noise, on average over the other hyperparameters."""
        return self.p < LEVEL

    @property
    def depends(self) -> bool:
        """Whether values differ beyond noise only at some values of the other hyperparameters."""
        return not self.shown and self.alone < LEVEL


def effects_of(metric: str, cells: Sequence[Cell], labels: Sequence[str]) -> list[Effect]:
    """The effect of each hyperparameter on a metric.

    For two values of a hyperparameter, cells that are equal in everything else are compared: for each seed and fold the
    mean of their differences is one number, and the paired t test of `tandem.study.statistics.paired` is over these.
    Effects that cancel in this mean show in the same test of single pairs of cells.

    Args:
        metric: by its logged name.
        cells: of the study.
        labels: of the hyperparameters, in the order of the cells' values.
    """
    means: list[_Test] = []
    singles: list[_Test] = []
    most = [0] * len(labels)
    for place in range(len(labels)):
        values = _by_value(cells, place)
        bounds = {value: sum(len(cell.runs) for cell in found.values()) for value, found in values.items()}
        for (one, first), (other, second) in itertools.combinations(values.items(), 2):
            bound = min(bounds[one], bounds[other])
            if bound < LEAST and bound <= most[place]:  # has no p, and no more pairs than one that is known
                continue
            shared = sorted(first.keys() & second.keys(), key=str)
            test = _Test(place, one, other, _difference(metric, [(first[rest], second[rest]) for rest in shared]))
            most[place] = max(most[place], test.found.n)
            means.append(test)
            if len(shared) > 1:
                pairs = ([(first[rest], second[rest])] for rest in shared)
                singles += [_Test(place, one, other, _difference(metric, pair)) for pair in pairs]
    clear, alone = _clearest(means), _clearest(singles)
    nothing = paired([])
    found = []
    for place, label in enumerate(labels):
        test, p = clear.get(place, (_Test(place, None, None, nothing), math.nan))
        single = alone[place][1] if place in alone else math.nan
        found.append(Effect(label, most[place], p, test.one, test.other, test.found.difference, single))
    return found


class _Test(NamedTuple):
    """Two values of the hyperparameter at a place, and their difference."""

    place: int
    one: Any
    other: Any
    found: Paired


def _clearest(tests: Sequence[_Test]) -> dict[int, tuple[_Test, float]]:
    """By place the largest of the differences beyond noise, else the one with the lowest p, with Holm's p."""
    corrected = holm([test.found.p for test in tests])
    known = [(test, p) for test, p in zip(tests, corrected, strict=True) if not math.isnan(p)]
    ranked = sorted(
        known, key=lambda pair: (pair[1] < LEVEL, abs(pair[0].found.difference) if pair[1] < LEVEL else -pair[1])
    )
    return {test.place: (test, p) for test, p in ranked}


Rest = tuple[object, ...]


def _by_value(cells: Sequence[Cell], place: int) -> dict[object, dict[Rest, Cell]]:
    """Cells by a hyperparameter's value, and by the values of all others."""
    found: dict[object, dict[Rest, Cell]] = {}
    for cell in cells:
        if cell.values[place] != ABSENT:
            rest = (*cell.values[:place], *cell.values[place + 1 :])
            found.setdefault(cell.values[place], {})[rest] = cell
    return found


def _difference(metric: str, pairs: Sequence[tuple[Cell, Cell]]) -> Paired:
    """The second cells minus the first ones, a mean over the pairs for each seed and fold."""
    by_replicate: dict[Replicate, list[float]] = {}
    runs: dict[Replicate, Run] = {}
    for one, other in pairs:
        runs |= one.runs
        for replicate, value in differences(metric, other, one).items():
            by_replicate.setdefault(replicate, []).append(value)
    if not by_replicate:
        return paired([])
    most = max(map(len, by_replicate.values()))  # a seed that lacks cells would be a mean over others
    whole = {replicate: summarise(values).mean for replicate, values in by_replicate.items() if len(values) == most}
    units = units_of(dict(sorted(whole.items())), runs)
    return paired(units.values, units.overlap)
