"""The results of one evaluator: scores, tables, figures and cases of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure


class Score(NamedTuple):
    """A value with its bootstrap interval over images; nan where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScoreTable:
    """A table of the report.

    Attributes:
        title: heading of the table.
        head: names of the columns; the first column names the rows.
        rows: texts, integers, numbers, and scores with their interval.
        note: text below the table, such as how images without lesion are counted.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int | float | Score]]
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The table as plain containers; a score becomes a list of value, low end and high end."""
        return {
            "title": self.title,
            "head": list(self.head),
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }


class Drawing(NamedTuple):
    """A figure and its caption."""

    figure: Figure
    caption: str


class Shown(NamedTuple):
    """Images of single cases, under one heading.

    Attributes:
        title: the heading.
        note: how to read the images, or why there are none.
        images: (H, W, 3) uint8 arrays, each with its caption.
    """

    title: str
    note: str
    images: Sequence[tuple[npt.NDArray[np.uint8], str]]


@dataclass(frozen=True)
class Findings:
    """The results of one task.

    Attributes:
        scores: values by logged name; a number that training logs too has the same name here.
        tables: tables of the report.
        drawings: figures of the report.
        lines: the data of the figures, as plain containers.
        estimates: nested estimates of the best threshold: its score on data that did not choose it.
        notes: remarks for the report.
        empty: how images without lesion are counted, for tasks with masks.
    """

    scores: dict[str, Score]
    tables: list[ScoreTable] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    lines: dict[str, Any] = field(default_factory=dict)
    estimates: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    empty: str = ""
