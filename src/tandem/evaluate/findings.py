"""What a task's part of an evaluation found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure


class Score(NamedTuple):
    """A number with its bootstrap interval over images; nan where it cannot be known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ScoreTable:
    """A table of the page.

    Attributes:
        title: over it.
        head: of the columns; the first one names the rows.
        rows: texts, whole numbers, numbers, and scores with their interval.
        note: below it; says what images without lesion count.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | int | float | Score]]
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """As plain containers; a score is a list of value, low and high end."""
        return {
            "title": self.title,
            "head": list(self.head),
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }


class Drawing(NamedTuple):
    """A figure and what is said below it."""

    figure: Figure
    caption: str


class Shown(NamedTuple):
    """Pictures of single images, under one heading.

    Attributes:
        title: the heading.
        note: how they are to be read, or why there are none.
        pictures: (H, W, 3) uint8 each, with what is said below it.
    """

    title: str
    note: str
    pictures: Sequence[tuple[npt.NDArray[np.uint8], str]]


@dataclass(frozen=True)
class Findings:
    """What a task's part found.

    Attributes:
        scores: by the name under which training logs the same number, where it does.
        tables: of the page.
        drawings: of the page.
        lines: what is drawn, as plain containers.
        estimates: what a threshold is worth on data that did not choose it.
        notes: remarks for the page.
        empty: what images without lesion count, where there are masks.
    """

    scores: dict[str, Score]
    tables: list[ScoreTable] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    lines: dict[str, Any] = field(default_factory=dict)
    estimates: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    empty: str = ""
