"""Which hyperparameters matter: for each one, whether any two of its values differ beyond noise."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tandem.study.cells import Cell
from tandem.study.comparison import differences
from tandem.study.runs import Run
from tandem.study.statistics import LEVEL, Paired, holm, paired, summarise
from tandem.study.swept_params import ABSENT, Replicate
from tandem.study.units import units_of


@dataclass(frozen=True)
class Effect:
    """One hyperparameter.

    Attributes:
        label: its label.
        n: seeds, or folds where these differ, of the pair of values with the most of them.
        p: of its clearest pair of values, after Holm's correction over all pairs of all hyperparameters; nan below
            three seeds or folds.
    """

    label: str
    n: int
    p: float

    @property
    def shown(self) -> bool:
        """Whether some two values differ beyond noise."""
        return self.p < LEVEL


def effects_of(metric: str, cells: Sequence[Cell], labels: Sequence[str]) -> list[Effect]:
    """The effect of each hyperparameter on a metric.

    For two values of a hyperparameter, cells that are equal in everything else are compared: for each seed and fold the
    mean of their differences is one number, and the paired t test of `tandem.study.statistics.paired` is over these.

    Args:
        metric: by its logged name.
        cells: of the study.
        labels: of the hyperparameters, in the order of the cells' values.
    """
    tests: list[tuple[int, Paired]] = []
    for place in range(len(labels)):
        for one, other in itertools.combinations(_by_value(cells, place).values(), 2):
            tests.append((place, _difference(metric, one, other)))
    corrected = holm([found.p for _, found in tests])
    found = []
    for place, label in enumerate(labels):
        own = [(pair.n, p) for (owner, pair), p in zip(tests, corrected, strict=True) if owner == place]
        known = [p for _, p in own if not math.isnan(p)]
        found.append(Effect(label, max((n for n, _ in own), default=0), min(known, default=math.nan)))
    return found


Rest = tuple[object, ...]


def _by_value(cells: Sequence[Cell], place: int) -> dict[object, dict[Rest, Cell]]:
    """Cells by a hyperparameter's value, and by the values of all others."""
    found: dict[object, dict[Rest, Cell]] = {}
    for cell in cells:
        if cell.values[place] != ABSENT:
            rest = (*cell.values[:place], *cell.values[place + 1 :])
            found.setdefault(cell.values[place], {})[rest] = cell
    return found


def _difference(metric: str, one: Mapping[Rest, Cell], other: Mapping[Rest, Cell]) -> Paired:
    by_replicate: dict[Replicate, list[float]] = {}
    runs: dict[Replicate, Run] = {}
    for rest in one.keys() & other.keys():
        runs |= one[rest].runs
        for replicate, value in differences(metric, other[rest], one[rest]).items():
            by_replicate.setdefault(replicate, []).append(value)
    if not by_replicate:
        return paired([])
    most = max(map(len, by_replicate.values()))  # a seed that lacks cells would be a mean over others
    whole = {replicate: summarise(values).mean for replicate, values in by_replicate.items() if len(values) == most}
    units = units_of(dict(sorted(whole.items())), runs)
    return paired(units.values, units.overlap)
