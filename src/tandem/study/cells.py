"""Runs that differ in seed and fold only, taken together: the cells of a study's table."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.study.runs import Run
from tandem.study.statistics import Summary, summarise, t_interval
from tandem.study.swept_params import (
    ABSENT,
    Replicate,
    order_of,
    replicate_keys,
    replicate_of,
    settings_of,
    show_value,
)
from tandem.study.units import units_of


@dataclass(frozen=True)
class Cell:
    """One choice of the swept hyperparameters.

    Attributes:
        values: of the hyperparameters, in their order.
        label: the choice in words; of hyperparameters that vary together, the first one; where the runs are no grid,
            what differs from the common setting, see `common_of`.
        runs: by seed and fold.
    """

    values: tuple[Any, ...]
    label: str
    runs: Mapping[Replicate, Run]

    @property
    def short(self) -> str:
        """The values alone."""
        return " · ".join(map(show_value, self.values)) or self.label

    def summary(self, metric: str) -> Summary:
        """Mean and deviation of a metric over seeds and folds."""
        return summarise(run.metrics.get(metric) for run in self.runs.values())

    def known(self, metric: str) -> dict[Replicate, float]:
        """Each run's value of a metric, by seed and fold, where it is known."""
        values = {key: run.metrics.get(metric) for key, run in self.runs.items()}
        return {key: value for key, value in values.items() if value is not None}

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95 % t interval of the mean over seeds, or over folds; nan below three of them."""
        units = units_of(self.known(metric), self.runs)
        return t_interval(summarise(units.values), units.overlap)

    def detail(self, metric: str) -> str:
        """Each run's value, for example `seed 0: 0.512; seed 1: 0.498`."""
        values = ((show_replicate(key), run.metrics.get(metric)) for key, run in self.runs.items())
        return "; ".join(f"{key}: {'-' if value is None else f'{value:.4f}'}" for key, value in values)


def cells_of(runs: Sequence[Run], labels: Mapping[str, str]) -> list[Cell]:
    """The cells, in the order of their values; of runs with equal settings, seed and fold the first one counts.

    Args:
        runs: of a study.
        labels: of the swept hyperparameters, by key; without any there is one cell.
    """
    found: dict[tuple[Any, ...], dict[Replicate, Run]] = {}
    keys = replicate_keys(runs)
    for run in runs:
        settings = settings_of(run)
        values = tuple(settings.get(key, ABSENT) for key in labels)
        found.setdefault(values, {}).setdefault(replicate_of(run, keys), run)
    places, names = telling(list(found)), list(labels.values())
    shown = [name if place in places else "" for place, name in enumerate(names)]
    common = common_of(list(found), places)

    def changed(values: tuple[Any, ...]) -> list[int]:
        """Places of the values that are not the common ones."""
        return [place for place in places if values[place] != common[place]] if common else []

    def label(values: tuple[Any, ...]) -> str:
        if not common:
            return _label(values, shown)
        own = [f"{names[place]}={show_value(values[place])}" for place in changed(values)]
        return ", ".join(own) or "common setting"

    ordered = sorted(found, key=lambda values: (changed(values), [order_of(value) for value in values]))
    return [
        Cell(values, label(values), dict(sorted(found[values].items(), key=lambda item: _order(item[0]))))
        for values in ordered
    ]


def common_of(choices: Sequence[tuple[Any, ...]], places: Sequence[int]) -> tuple[Any, ...]:
    """The most frequent value of each hyperparameter, where runs change one thing here and another there; else nothing.

    That is so where three hyperparameters or more differ and fewer than half of all combinations are
    present, and two thirds of the cells differ from the common setting in one value at most.

    Args:
        choices: values of the hyperparameters of each cell.
        places: of the hyperparameters that count; see `telling`.

    Example:
        >>> common_of([(1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1)], [0, 1, 2])
        ()
        >>> common_of([(1, "a", 8), (2, "a", 8), (3, "a", 8), (1, "b", 8), (1, "a", 9), (1, "a", 7)], [0, 1, 2])
        (1, 'a', 8)
    """
    columns = list(zip(*choices, strict=True))
    if len(places) < 3 or 2 * len(choices) >= math.prod(len(set(columns[place])) for place in places):
        return ()
    common = tuple(max(column, key=column.count) for column in columns)
    single = sum(sum(choice[place] != common[place] for place in places) < 2 for choice in choices)
    return common if 3 * single >= 2 * len(choices) else ()


def telling(choices: Sequence[tuple[Any, ...]]) -> list[int]:
    """Places of the hyperparameters but for those that vary together with an earlier one, and so tell no more.

    Args:
        choices: values of the hyperparameters of each cell.

    Example:
        >>> telling([("scratch", 0, "a"), ("scratch", 0, "b"), ("transfer", 7, "a")])
        [0, 2]
    """
    first: dict[tuple[int, ...], int] = {}
    for place, column in enumerate(zip(*choices, strict=True)):
        numbers: dict[Any, int] = {}
        first.setdefault(tuple(numbers.setdefault(value, len(numbers)) for value in column), place)
    return list(first.values())


def missing_of(cells: Sequence[Cell], labels: Mapping[str, str], trials: Collection[Path] = frozenset()) -> list[str]:
    """What a complete study would also have: seeds and folds that other cells have, and holes of a grid, in words.

    Data without folds lack none. If fewer than half of all combinations of the values are present, the study is not
    a grid, and has no holes. Beside the trials of a search nothing is missing: it has chosen their values and seeds.

    Args:
        cells: of the study.
        labels: of the swept hyperparameters, by key.
        trials: folders of runs that are trials of a search, without links.
    """
    cells = [cell for cell in cells if not any(run.folder.resolve() in trials for run in cell.runs.values())]
    expected = dict.fromkeys(replicate for cell in cells for replicate in cell.runs)
    missing = [
        f"{cell.label}: {show_replicate(replicate)}"
        for cell in cells
        for replicate in expected
        if replicate not in cell.runs and _kind(replicate) in map(_kind, cell.runs)
    ]
    there = {cell.values for cell in cells}
    columns = [sorted({values[place] for values in there}, key=order_of) for place in range(len(labels))]
    if len(labels) > 1 and not any(ABSENT in column for column in columns):
        holes = [values for values in itertools.product(*columns) if values not in there]
        if len(holes) <= len(there):
            missing += [f"{_label(values, labels.values())}: no run" for values in holes]
    return missing


def show_replicate(replicate: Replicate) -> str:
    """Seed and fold in words.

    Example:
        >>> show_replicate((("seed", 1), ("data.fold", 0)))
        'seed 1, fold 0'
    """
    return ", ".join(_word(key, value) for key, value in replicate)


def _word(key: str, value: Any) -> str:
    """`seed 1` is that of the run; one of the data says so."""
    last = key.rpartition(".")[2].replace("_", " ")
    return f"{'data ' if key != 'seed' and last == 'seed' else ''}{last} {show_value(value)}"


def _kind(replicate: Replicate) -> list[str]:
    return [key for key, _ in replicate]


def _label(values: Sequence[Any], labels: Iterable[str]) -> str:
    shown = ((label, value) for label, value in zip(labels, values, strict=True) if label)
    return ", ".join(f"{label}={show_value(value)}" for label, value in shown if value is not ABSENT) or "all runs"


def _order(replicate: Replicate) -> list[tuple[str, tuple[int, float, str]]]:
    return [(key, order_of(value)) for key, value in replicate]
