"""Conditions on single values of a configuration, for the table in `settings`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Test = Callable[[Any], bool]


@dataclass(frozen=True)
class Rule:
    """What a value must be.

    Attributes:
        key: dotted key; `*` stands for every entry of a dict.
        test: whether a value is accepted.
        must: completes the sentence "but must be ...", with the fix.
        optional: whether null is accepted; a key that is absent always is.
    """

    key: str
    test: Test
    must: str
    optional: bool = True


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and not a boolean.

    Example:
        >>> [is_number(value) for value in (1, 0.5, True, float("nan"), "1")]
        [True, True, False, False, False]
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(least: int) -> Test:
    """Accepts whole numbers of at least `least`."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def at_least(least: float) -> Test:
    """Accepts finite numbers of at least `least`."""
    return lambda value: is_number(value) and value >= least


def inside(low: float, high: float) -> Test:
    """Accepts numbers in [low, high)."""
    return lambda value: is_number(value) and low <= value < high


def one_of(*words: object) -> Test:
    """Accepts these values."""
    return lambda value: value in words


def share_or_count(value: object) -> bool:
    """Accepts what Lightning's `limit_*_batches` take: a count of at least 1, or a share in (0, 1].

    Example:
        >>> [share_or_count(value) for value in (3, 0.5, 1.0, 0, 0.0, 1.5, True)]
        [True, True, True, False, False, False, False]
    """
    if isinstance(value, float):
        return 0 < value <= 1
    return whole(1)(value)
