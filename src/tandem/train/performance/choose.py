"""Which settings a run computes with: pure functions of measured times and differences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import median
from typing import Any, TypeVar

from tandem.runs.performance import Computing

MARGIN = 0.03
"""Share of a step that another setting has to save: less is within what a machine varies by."""

TURNS = 3
"""Steps of each setting that are needed for a median."""

Setting = TypeVar("Setting")

Times = Mapping[Computing, Sequence[float]]
Axis = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """Relative differences to the run's own precision.

    Attributes:
        loss: the largest over the tasks, `|L' - L| / |L|`.
        gradient: `|g' - g| / |g|` of all weights together, in the Euclidean norm.
    """

    loss: float = 0.0
    gradient: float = 0.0

    def within(self, loss: float, gradient: float) -> bool:
        """Whether both are within these tolerances; nan is not."""
        return self.loss <= loss and self.gradient <= gradient


def relative(other: float, value: float) -> float:
    """`|other - value| / |value|`; 0 if both are 0.

    Example:
        >>> relative(1.1, 1.0) < 0.11, relative(0.0, 0.0), relative(0.1, 0.0)
        (True, 0.0, inf)
    """
    if other == value:
        return 0.0
    return abs(other - value) / abs(value) if value else inf


def fastest(times: Mapping[Setting, Sequence[float]]) -> Setting:
    """The setting with the shortest median; the first one, unless another one saves `MARGIN` of its time.

    Args:
        times: seconds of steps of each setting, in turns; fewer than `TURNS` of one leave the first.

    Example:
        >>> exact, half = Computing(), Computing("bf16-mixed")
        >>> fastest({exact: [1.0, 1.1, 5.0], half: [0.6, 0.7, 0.6]}).precision
        'bf16-mixed'
        >>> fastest({exact: [1.0, 1.1, 1.0], half: [0.99, 1.0, 1.0]}).precision
        '32-true'
    """
    first = next(iter(times))
    if any(len(each) < TURNS for each in times.values()):
        return first
    medians = {setting: median(each) for setting, each in times.items()}
    best = min(medians, key=lambda setting: medians[setting])
    return best if medians[best] <= (1 - MARGIN) * medians[first] else first


def settle(
    start: Computing,
    axes: Iterable[Axis],
    measure: Callable[[Sequence[Computing]], Times],
    holds: Callable[[Computing], bool],
) -> Computing:
    """Takes the faster setting of one axis after the other, and compares the result with the start once more.

    Args:
        start: the exact setting, which is always a candidate.
        axes: of each, the changes to try.
        measure: times settings in turns.
        holds: whether a setting holds the tolerance.
    """
    best = start
    for axis in axes:
        others = [setting for change in axis if (setting := replace(best, **change)) != best and holds(setting)]
        if others:
            best = fastest(measure([best, *others]))
    return best if best == start else fastest(measure([start, best]))
