"""Weights that change over the epochs."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.losses.validation import number

KEYS = ("from", "to", "start", "end")
"""Keys of a schedule: two weights, and the epochs at which the change begins and ends."""


class Weight(NamedTuple):
    """A weight of at least 0 that changes linearly from one value to another, or is constant where both are the same.

    w(e) = first + (last - first) * min(max((e - start) / (end - start), 0), 1), at epoch e, counted from 0.

    It depends on the epoch only, so that a resumed run has the same weights as an uninterrupted one.

    Attributes:
        first: the weight up to the epoch `start`.
        last: the weight from the epoch `end` on.
        start: last epoch before the change.
        end: first epoch after it, above `start`.

    Example:
        >>> weight = read_weight("weights.boundary", {"from": 0.0, "to": 0.5, "start": 2, "end": 6})
        >>> [weight.at(epoch) for epoch in (0, 2, 3, 6, 100)]
        [0.0, 0.0, 0.125, 0.5, 0.5]
    """

    first: float
    last: float
    start: int = 0
    end: int = 1

    def at(self, epoch: int) -> float:
        """The weight at an epoch, counted from 0."""
        share = min(max((epoch - self.start) / (self.end - self.start), 0.0), 1.0)
        return self.last if share == 1 else self.first + (self.last - self.first) * share

    @property
    def moves(self) -> bool:
        """Whether it changes at all."""
        return self.first != self.last


def read_weight(name: str, value: object) -> Weight:
    """A weight as it is written in yaml.

    Args:
        name: dotted name of the weight, for messages.
        value: a number, at least 0; or `{from: 0.0, to: 0.5, start: 0, end: 20}`, where `start` may be left out and
            is then 0.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(value, Mapping):
        fixed = number(name, value, 0.0, inf, "use 0 or more, or {from: 0, to: 1, start: 0, end: 20}")
        return Weight(fixed, fixed)
    for key in value:
        if key not in KEYS:
            raise ConfigError(f"{name}.{key} is not part of a schedule: {nearest(key, KEYS)}")
    for key in KEYS:
        if key not in value and key != "start":
            raise ConfigError(f"{name} lacks '{key}'; a schedule is {{from: 0, to: 1, start: 0, end: 20}}")
    first, last = (number(f"{name}.{key}", value[key], 0.0, inf, "use 0 or more") for key in ("from", "to"))
    start, end = (_epoch(f"{name}.{key}", value.get(key, 0)) for key in ("start", "end"))
    if start >= end:
        raise ConfigError(f"{name}.end = {end} is not after {name}.start = {start}; give a later epoch")
    return Weight(first, last, start, end)


def _epoch(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{name} = {value!r} is not an epoch; use a whole number of at least 0")
    return value
