"""What learning several tasks at once gains or costs: delta-m against matched single-task runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.metrics.catalogue import Quantity, describe
from tandem.reports.table import headline
from tandem.study.cells import Cell
from tandem.study.runs import Run, quantities_of
from tandem.study.statistics import Paired, Summary, paired, summarise
from tandem.study.swept_params import Replicate, settings_of
from tandem.study.units import units_of


@dataclass(frozen=True)
class Delta:
    """One multi-task cell against single-task runs.

    Attributes:
        cell: of multi-task runs.
        tasks: each task's relative gain in percent, over the seeds and folds that have a match.
        delta_m: their mean over the tasks, over the seeds and folds in which every task has a match.
        interval: of delta-m, as the pairs of multi-task and single-task runs have it.
        note: what was not matched exactly; empty otherwise.
    """

    cell: Cell
    tasks: Mapping[str, Summary]
    delta_m: Summary
    interval: Paired
    note: str


def delta_m(gains: Sequence[float]) -> float:
    r"""The mean relative gain over T tasks (Maninis et al., 2019; Vandenhende et al., 2021).

    `delta_m = 1/T sum_i (-1)^{l_i} (M_i - B_i) / B_i`: M the multi-task metric, B the single-task one, `l_i` = 1 where
    less is better.

    Args:
        gains: of each task, as `gain` gives them, at least one.
    """
    return math.fsum(gains) / len(gains)


def gain(multi: float, single: float, sign: int) -> float:
    """Relative gain of one task in percent; nan where the single-task metric is 0, or no direction is known.

    Args:
        multi: its metric in the multi-task run.
        single: its metric in the single-task run.
        sign: 1 where more is better, -1 where less is, 0 where that is unknown.

    Example:
        >>> gain(0.6, 0.5, 1), gain(3.0, 2.0, -1)
        (20.0, -50.0)
    """
    return round(100 * sign * (multi - single) / abs(single), 10) if single and sign else math.nan


def deltas_of(cells: Sequence[Cell]) -> list[Delta]:
    """Every multi-task cell for which there are single-task runs of one of its tasks at all.

    A match has the same data, split, seed and budget: every setting outside the tasks and their weights is equal. Where
    several match, it must have the task's own settings too; a single match with others is taken, and named.

    Args:
        cells: of the study.
    """
    runs = [run for cell in cells for run in cell.runs.values()]
    singles: dict[tuple[str, Any], list[Run]] = {}
    for run in runs:
        if len(run.tasks) == 1:
            singles.setdefault((run.tasks[0], _budget(run)), []).append(run)
    alone = {task for task, _ in singles}
    several = [cell for cell in cells if (names := _tasks(cell)) and len(names) > 1 and alone & set(names)]
    stored = quantities_of(runs)
    return [_delta(cell, singles, stored) for cell in several]


def _delta(cell: Cell, singles: Mapping[tuple[str, Any], Sequence[Run]], stored: Mapping[str, Quantity]) -> Delta:
    gains: dict[str, list[float]] = {task: [] for task in _tasks(cell)}
    means: dict[Replicate, float] = {}
    loose, undirected = set(), {}
    for replicate, run in cell.runs.items():
        found = {}
        for task in run.tasks:
            match, exact = _match(run, task, singles.get((task, _budget(run)), ()))
            name = _headline(match, task, stored) if match else None
            if match is None or name is None:
                continue
            if (sign := describe(name, stored).sign) == 0:
                undirected[task] = name
            if math.isnan(value := _gain(run, match, name, sign)):
                continue
            found[task] = value
            gains[task].append(value)
            loose |= set() if exact else {task}
        if len(found) == len(run.tasks):
            means[replicate] = delta_m(list(found.values()))
    unmatched = [task for task, values in gains.items() if not values and task not in undirected]
    notes = [f"no matched single-task run of {', '.join(unmatched)}"] if unmatched else []
    notes += [f"single-task runs of {', '.join(sorted(loose))} have another loss or other settings"] if loose else []
    notes += [f"the direction of {name} is unknown" for name in undirected.values()]
    units = units_of(means, cell.runs)
    summaries = {task: summarise(values) for task, values in gains.items()}
    return Delta(cell, summaries, summarise(means.values()), paired(units.values, units.overlap), "; ".join(notes))


def _tasks(cell: Cell) -> tuple[str, ...]:
    return next(iter(cell.runs.values())).tasks


def _match(run: Run, task: str, candidates: Sequence[Run]) -> tuple[Run | None, bool]:
    """The single-task run to compare with, and whether the task's own settings are the same."""
    same = [other for other in candidates if other.config["tasks"][task] == run.config["tasks"][task]]
    if same:
        return same[0], True
    return (candidates[0] if len(candidates) == 1 else None), False


def _headline(single: Run, task: str, stored: Mapping[str, Quantity]) -> str | None:
    """The logged name of the test metric that speaks for a task."""
    test = {key: value for key, value in single.metrics.items() if key.startswith("test/")}
    name = headline(test, task, stored)
    return name and f"test/{task}/{name}"


def _gain(run: Run, single: Run, name: str, sign: int) -> float:
    multi, alone = (other.metrics.get(name) for other in (run, single))
    return math.nan if multi is None or alone is None else gain(multi, alone, sign)


def _budget(run: Run) -> tuple[Any, ...]:
    """Everything but the tasks: data, split, seed, network, optimiser, epochs."""
    left_out = ("tasks", "balance", "monitor", "mode")
    settings = {key: value for key, value in settings_of(run).items() if key.partition(".")[0] not in left_out}
    kept = {key: value for key, value in settings.items() if not _follows(key)}
    data = run.results.get("data") or {}
    prints = data.get("fingerprint") or {}
    return (*sorted(kept.items(), key=lambda item: item[0]), *sorted(prints.items()))


def _follows(key: str) -> bool:
    """Settings of callbacks that name a task."""
    return key.startswith("callbacks.") and key.rpartition(".")[2] in ("monitor", "mode", "show")
