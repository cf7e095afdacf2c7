"""Each cell against a named baseline, by pairs of runs with the same seed and fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.metrics.catalogue import Direction
from tandem.study.cells import Cell
from tandem.study.statistics import LEAST, LEVEL, Paired, holm, paired
from tandem.study.swept_params import Replicate, show_value
from tandem.study.units import units_of


@dataclass(frozen=True)
class Comparison:
    """One cell against the baseline.

    Attributes:
        cell: that is compared.
        paired: cell minus baseline; its n counts seeds, or folds where these differ.
        pairs: number of pairs with the same seed and fold.
        holm: p after Holm's correction over all cells; nan where there is none.
        verdict: in words.
    """

    cell: Cell
    paired: Paired
    pairs: int
    holm: float
    verdict: str


def find_baseline(typed: Sequence[str], cells: Sequence[Cell], labels: Mapping[str, str]) -> Cell:
    """The one cell that `key=value` words name.

    Args:
        typed: such as `gamma=2` and `alpha=0.25`; a key may be whole or short.
        cells: of the study.
        labels: of the swept hyperparameters, by key.

    Raises:
        ConfigError: an unknown hyperparameter or value, or words that fit several cells or none.
    """
    keys = list(labels)
    left = list(cells)
    for word in typed:
        name, equals, text = word.partition("=")
        place = next((keys.index(key) for key in keys if name in (key, labels[key])), None)
        if not equals:
            raise ConfigError(f"baseline '{word}' is no key=value; give one, such as seed=1")
        if place is None:
            raise ConfigError(f"baseline '{word}': '{name}' was not swept; {nearest(name, labels.values())}")
        known = {show_value(cell.values[place]) for cell in cells}
        if text not in known and (text := _as_number(text)) not in known:
            raise ConfigError(f"baseline '{word}': no run has this value; {nearest(text, known)}")
        left = [cell for cell in left if show_value(cell.values[place]) == text]
    if len(left) != 1:
        some = "; ".join(cell.label for cell in left[:3])
        said = (
            f"fits {len(left)} cells ({some}{', ...' if len(left) > 3 else ''}); name more hyperparameters"
            if left
            else "fits no cell"
        )
        raise ConfigError(f"baseline '{' '.join(typed)}' {said}")
    return left[0]


def compare(metric: str, baseline: Cell, cells: Sequence[Cell], direction: Direction) -> list[Comparison]:
    """Every other cell against the baseline in one metric.

    Args:
        metric: by its logged name.
        baseline: one of the cells.
        cells: of the study; those of which no run has the metric are left out.
        direction: of the metric; where it is unknown, a verdict says higher or lower, not better or worse.
    """
    known = [cell for cell in cells if cell is not baseline and cell.summary(metric).n]
    found = [paired_difference(metric, cell, baseline) for cell in known]
    corrected = holm([one.p for one in found])
    return [
        Comparison(cell, one, len(differences(metric, cell, baseline)), p, _verdict(one, p, direction))
        for cell, one, p in zip(known, found, corrected, strict=True)
    ]


def differences(metric: str, cell: Cell, baseline: Cell) -> dict[Replicate, float]:
    """Cell minus baseline for each seed and fold that both have, where the metric is known in both."""
    ours, theirs = cell.known(metric), baseline.known(metric)
    return {replicate: value - theirs[replicate] for replicate, value in ours.items() if replicate in theirs}


def paired_difference(metric: str, cell: Cell, baseline: Cell) -> Paired:
    """Cell minus baseline with its interval: the paired t interval over seeds, the corrected one over folds."""
    units = units_of(differences(metric, cell, baseline), cell.runs)
    return paired(units.values, units.overlap)


def _verdict(one: Paired, corrected: float, direction: Direction) -> str:
    if one.n == 0:
        return "no pair with the same seed and fold"
    if one.n < LEAST:
        return "n = 1: differences cannot be judged" if one.n == 1 else f"n = {one.n}: no interval"
    if not corrected < LEVEL:
        return "no difference shown"
    higher = one.difference > 0
    if direction is None:
        return "higher" if higher else "lower"
    return "better" if higher == (direction == "max") else "worse"


def _as_number(text: str) -> str:
    try:
        return show_value(float(text))
    except ValueError:
        return text
