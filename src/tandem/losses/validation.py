"""Checks of a loss's options when it is built."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real

from torch import Tensor

from tandem.errors import ConfigError
from tandem.losses.reduce import PER


def number(name: str, value: object, least: float, most: float, fix: str) -> float:
    """An option that must be a finite number in [least, most].

    Args:
        name: of the option, for the message.
        value: what the user gave.
        least: smallest value allowed.
        most: largest value allowed; may be infinite.
        fix: how to fix a wrong value, for the message.

    Raises:
        ConfigError: for anything else, `True` and `False` included.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(f"{name} = {value!r} is not a finite number; {fix}")
    if not least <= float(value) <= most:
        raise ConfigError(f"{name} = {value} is outside [{least:g}, {most:g}]; {fix}")
    return float(value)


def inside(name: str, value: object, least: float, most: float, refused: Mapping[float, str], fix: str) -> float:
    """An option in [least, most], except for some values, mostly the ends, that would switch off a part of the loss.

    Args:
        name: of the option, for the message.
        value: what the user gave.
        least: smallest value allowed.
        most: largest value allowed; may be infinite.
        refused: what each refused value would do, for the message.
        fix: how to fix a wrong value, for the message.

    Raises:
        ConfigError: for anything outside, and for the refused values.
    """
    found = number(name, value, least, most, fix)
    if found in refused:
        raise ConfigError(f"{name} = {found:g} would {refused[found]}; {fix}")
    return found


def balance(value: object, name: str = "alpha") -> float:
    """The weight of the positives, a number inside (0, 1); the negatives get the rest.

    Raises:
        ConfigError: for 0, 1 and anything outside; 0 and 1 would ignore all positives or all negatives.
    """
    silent = {0.0: "give every positive the weight 0", 1.0: "give every negative the weight 0"}
    null = "null for no balancing or " if name == "alpha" else ""
    return inside(name, value, 0.0, 1.0, silent, f"use {null}a value inside (0, 1)")


def pooling(per: object) -> str:
    """What an overlap is measured on, one of `tandem.losses.reduce.PER`.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(per, str) or per not in PER:
        raise ConfigError(f"per = {per!r} is unknown; use {' or '.join(PER)}")
    return per


def class_weights(name: str, value: object) -> list[float] | None:
    """One number for each class, none below 0 and not all 0; None for no weighting.

    Raises:
        ConfigError: for anything else.
    """
    if value is None:
        return None
    fix = "give one number for each class, or null for none"
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ConfigError(f"{name} = {value!r} is not a list; {fix}")
    weights = [number(f"{name}[{i}]", weight, 0.0, math.inf, fix) for i, weight in enumerate(value)]
    if len(weights) < 2 or not any(weights):
        raise ConfigError(f"{name} = {weights} would not weigh classes against each other; {fix}")
    return weights


def class_count(name: str, weights: Tensor, classes: int) -> None:
    """Check that there is one class weight for each class of the logits.

    Raises:
        ConfigError: if their number is not the number of classes.
    """
    if len(weights) != classes:
        raise ConfigError(f"{name} has {len(weights)} numbers for {classes} classes; give one for each class")
