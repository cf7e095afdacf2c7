"""Scores of each class against the rest, and confusion matrices."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.metrics.catalogue import CATALOGUE
from tandem.study.analysis import Analysis
from tandem.study.cells import Cell
from tandem.study.runs import Run
from tandem.study.table import Entry, Number, ResultTable

SCORES = ("recall", "specificity", "precision", "f1")
"""Of each class against the rest; columns stand in this order."""


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix on test data, added over the seeds and folds of a cell.

    Attributes:
        task: that asks for the class.
        cell: whose runs they are.
        classes: names of the C classes.
        counts: (C, C), rows are true classes.
    """

    task: str
    cell: Cell
    classes: tuple[str, ...]
    counts: NDArray[np.int64]


def class_table(analysis: Analysis) -> ResultTable | None:
    """A row for each class and cell with the scores of that class; None where no run has any by class.

    Args:
        analysis: of the study.
    """
    known = list(_scores(analysis))
    found = dict.fromkeys((task, label) for task, _, label in known)
    if not found:
        return None
    columns = [score for score in SCORES if any(score == logged for _, logged, _ in known)]
    several = len({task for task, _ in found}) > 1
    rows: list[list[Entry]] = []
    for task, label in found:
        names = [f"test/{task}/{score}/{label}" for score in columns]
        best = {name: analysis.best(name) for name in names}
        for cell in analysis.cells:
            numbers = [number_of(cell, name, cell in best[name], analysis.quantity(name).digits) for name in names]
            rows.append([f"{task}: {label}" if several else label, cell.label, len(cell.runs), *numbers])
    bold = "the cell that was chosen on validation data" if analysis.chosen else "best mean of its class and column"
    note = f"Each class against the rest, on test data, with the interval over runs of the main table. Bold: {bold}."
    return ResultTable("By class", ["class", "cell", "n", *map(_head, columns)], rows, [note])


def _scores(analysis: Analysis) -> Iterator[tuple[str, str, str]]:
    """Task, score and class of what is known by class on test data, of tasks with a recall by class."""
    names = dict.fromkeys(name for cell in analysis.cells for run in cell.runs.values() for name in run.metrics)
    split = [name.split("/", 3) for name in names if name.startswith("test/") and name.count("/") >= 3]
    tasks = {task for _, task, score, _ in split if score == "recall"}
    yield from ((task, score, label) for _, task, score, label in split if task in tasks and score in SCORES)


def _head(score: str) -> str:
    one = CATALOGUE[score]
    return f"{one.one_label} ({one.synonym})" if one.synonym else one.one_label


def number_of(cell: Cell, name: str, best: bool, digits: int) -> Number:
    """A metric of a cell as an entry of a table.

    Args:
        cell: of the study.
        name: of the metric, as it is logged.
        best: whether the cell is the best of its column.
        digits: after the point.
    """
    found = cell.summary(name)
    low, high = cell.interval(name)
    return Number(found.mean, found.std, found.n, len(cell.runs), best, digits, cell.detail(name), low, high)


def matrices(analysis: Analysis) -> list[Matrix]:
    """The confusion matrix of each task and cell; those of runs that left none, or an unusable one, are left out.

    Args:
        analysis: of the study.
    """
    found = []
    for task in analysis.headlines:
        for cell in analysis.cells:
            known = [matrix for run in cell.runs.values() if (matrix := _matrix(run, f"test/{task}"))]
            if known and all(classes == known[0][0] for classes, _ in known):
                found.append(Matrix(task, cell, known[0][0], np.sum([counts for _, counts in known], axis=0)))
    return found


def _matrix(run: Run, place: str) -> tuple[tuple[str, ...], NDArray[np.int64]] | None:
    """Classes and counts of a run, if they are what a run of this version leaves."""
    kept = run.results.get("confusion")
    said: Any = kept.get(place) if isinstance(kept, dict) else None
    if not isinstance(said, dict) or not isinstance(said.get("classes"), list):
        return None
    classes, rows = tuple(map(str, said["classes"])), said.get("counts")
    square = (
        [row for row in rows if isinstance(row, list) and len(row) == len(classes)] if isinstance(rows, list) else []
    )
    if len(square) != len(classes) or not all(type(value) is int and value >= 0 for row in square for value in row):
        return None
    return classes, np.array(square, dtype=np.int64).reshape(len(classes), len(classes))
