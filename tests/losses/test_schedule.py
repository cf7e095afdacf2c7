"""Weights over the epochs: a straight line between two numbers, and what cannot be read as one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import ConfigError
from tandem.losses.schedule import read_weight

NUMBERS = st.floats(0, 1e6, allow_subnormal=False)


@given(NUMBERS, NUMBERS, st.integers(0, 100), st.integers(1, 100), st.integers(0, 300))
def test_a_schedule_is_numpys_interpolation(first: float, last: float, start: int, length: int, epoch: int) -> None:
    weight = read_weight("weight", {"from": first, "to": last, "start": start, "end": start + length})
    expected = np.interp(epoch, [start, start + length], [first, last])
    assert weight.at(epoch) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert weight.at(0) == first
    assert weight.at(start + length) == last, "exactly"
    assert weight.moves == (first != last)


@given(NUMBERS, st.integers(0, 1000))
def test_a_number_stays(value: float, epoch: int) -> None:
    weight = read_weight("weight", value)
    assert weight.at(epoch) == value
    assert not weight.moves


def test_start_is_the_first_epoch_if_left_out() -> None:
    assert read_weight("w", {"from": 0, "to": 1, "end": 4}).at(1) == 0.25


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, r"w = -1 is outside \[0, inf\]; use 0 or more, or \{from: 0, to: 1, start: 0, end: 20\}"),
        ("0.5", "w = '0.5' is not a finite number"),
        (None, "w = None is not a finite number"),
        ([0, 1], r"w = \[0, 1\] is not a finite number"),
        ({}, "w lacks 'from'"),
        ({"from": 0, "to": 1}, "w lacks 'end'; a schedule is {from: 0, to: 1, start: 0, end: 20}"),
        ({"from": 0, "to": 1, "until": 3}, "w.until is not part of a schedule: there are: end, from, start, to"),
        ({"from": -1, "to": 1, "end": 3}, r"w\.from = -1 is outside"),
        ({"from": 0, "to": "1", "end": 3}, r"w\.to = '1' is not a finite number"),
        ({"from": 0, "to": 1, "start": 3, "end": 3}, r"w\.end = 3 is not after w\.start = 3; give a later epoch"),
        ({"from": 0, "to": 1, "end": 2.5}, r"w\.end = 2\.5 is not an epoch; use a whole number of at least 0"),
        ({"from": 0, "to": 1, "start": -2, "end": 2}, r"w\.start = -2 is not an epoch"),
        ({"from": 0, "to": 1, "start": True, "end": 2}, r"w\.start = True is not an epoch"),
    ],
    ids=str,
)
def test_what_is_no_weight_is_refused(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        read_weight("w", value)
    assert "\n" not in str(refusal.value)
