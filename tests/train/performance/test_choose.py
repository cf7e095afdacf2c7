"""The choice is a pure function of what was measured: times in, setting out."""

from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

import pytest

from tandem.runs.performance import Computing
from tandem.train.performance.choose import MARGIN, Difference, fastest, relative, settle

EXACT = Computing()
HALF = Computing("bf16-mixed")
FUSED = Computing(fused=True)
BOTH = Computing("bf16-mixed", fused=True)
ONE = Computing(threads=1)

AXES: list[list[dict[str, Any]]] = [[{"precision": "bf16-mixed"}], [{"fused": True}]]


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({EXACT: [1.0, 1.0, 1.0]}, EXACT),
        ({EXACT: [1.0, 1.0, 1.0], HALF: [0.5, 0.5, 0.5]}, HALF),
        ({EXACT: [1.0, 1.0, 1.0], HALF: [2.0, 2.0, 2.0]}, EXACT),
        ({EXACT: [1.0, 1.0, 1.0], HALF: [1.0, 1.0, 1.0]}, EXACT),  # equal: nothing is changed
        ({EXACT: [1.0, 1.0, 1.0], HALF: [0.98, 0.98, 0.98]}, EXACT),  # less than the margin
        ({EXACT: [1.0, 1.0, 1.0], HALF: [1 - MARGIN] * 3}, HALF),
        ({EXACT: [1.0, 1.0, 9.0], HALF: [0.1, 1.2, 1.2]}, EXACT),  # medians, not means or minima
        ({EXACT: [9.0, 1.0, 9.0], HALF: [1.2, 9.5, 1.2]}, HALF),
        ({EXACT: [1.0, 1.0, 1.0], HALF: [0.1, 0.1]}, EXACT),  # too few turns to know
        ({EXACT: [], HALF: []}, EXACT),
        ({EXACT: [1.0] * 3, HALF: [0.6] * 3, FUSED: [0.5] * 3, ONE: [0.7] * 3}, FUSED),
    ],
)
def test_the_shortest_median_is_taken_if_it_saves_more_than_noise(
    times: Mapping[Computing, Sequence[float]], chosen: Computing
) -> None:
    assert fastest(times) == chosen


@pytest.mark.parametrize(
    ("seconds", "refused", "chosen"),
    [
        ({EXACT: 1.0, HALF: 0.5, BOTH: 0.4}, (), BOTH),
        ({EXACT: 1.0, HALF: 0.5, BOTH: 0.5}, (), HALF),
        ({EXACT: 1.0, HALF: 2.0, FUSED: 0.9}, (), FUSED),  # the next axis starts from the best so far
        ({EXACT: 1.0, HALF: 2.0, FUSED: 1.1}, (), EXACT),
        ({EXACT: 1.0, HALF: 0.1, FUSED: 0.9}, (HALF, BOTH), FUSED),  # fast, but not near enough
        ({EXACT: 1.0}, (HALF, BOTH, FUSED), EXACT),
    ],
)
def test_one_axis_after_the_other_is_settled(
    seconds: Mapping[Computing, float], refused: Sequence[Computing], chosen: Computing
) -> None:
    measured: list[Computing] = []

    def measure(settings: Sequence[Computing]) -> dict[Computing, list[float]]:
        measured.extend(settings)
        return {setting: [seconds[setting]] * 3 for setting in settings}

    assert settle(EXACT, AXES, measure, lambda setting: setting not in refused) == chosen
    assert not set(refused) & set(measured), "what does not hold the tolerance is not measured"


def test_exact_is_compared_again_at_the_end() -> None:
    """A machine that became slower while the exact setting was measured does not decide."""
    rounds = [{EXACT: [1.0] * 3, HALF: [0.5] * 3}, {EXACT: [0.4] * 3, HALF: [0.5] * 3}]

    def measure(settings: Sequence[Computing]) -> dict[Computing, list[float]]:
        found = rounds.pop(0)
        assert list(found) == list(settings)
        return found

    assert settle(EXACT, AXES[:1], measure, lambda _: True) == EXACT
    assert not rounds


def test_without_time_nothing_is_chosen() -> None:
    assert settle(EXACT, AXES, lambda settings: {one: [] for one in settings}, lambda _: True) == EXACT


@pytest.mark.parametrize(
    ("found", "within"),
    [
        (Difference(0.0, 0.0), True),
        (Difference(0.01, 0.25), True),
        (Difference(0.011, 0.0), False),
        (Difference(0.0, 0.26), False),
        (Difference(nan, 0.0), False),
        (Difference(0.0, nan), False),
        (Difference(inf, inf), False),
    ],
)
def test_both_differences_have_to_be_within_the_tolerance(found: Difference, within: bool) -> None:
    assert found.within(loss=0.01, gradient=0.25) is within


@pytest.mark.parametrize(
    ("other", "value", "expected"),
    [(1.5, 1.0, 0.5), (-1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (0.1, 0.0, inf), (-3.0, -2.0, 0.5)],
)
def test_relative_differences(other: float, value: float, expected: float) -> None:
    assert relative(other, value) == expected
