"""From the values of a column to the groups of images."""

import math
from collections.abc import Sequence
from itertools import pairwise

from tandem.errors import ConfigError
from tandem.evaluate.groups.options import Grouping

MISSING = "missing"
MOST = 20
"""Different values of a column up to which each is a group."""


def group_names(grouping: Grouping, values: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the name of each image's group, and the names of the groups in the order of tables.

    Args:
        grouping: the column.
        values: its text for each image; empty where it is missing.

    Raises:
        ConfigError: there are too many different values, or a value that has bands is no number.

    Example:
        >>> group_names(Grouping("age", (40, 60)), ["39", "", "60", "40.5"])
        (['< 40', 'missing', '>= 60', '40 to < 60'], ['< 40', '40 to < 60', '>= 60', 'missing'])
    """
    name = grouping.column
    if grouping.ends:
        bands = _bands(grouping.ends)
        place = [None if value == "" else sum(_number(name, value) >= end for end in grouping.ends) for value in values]
        found = [MISSING if row is None else bands[row] for row in place]
        return found, [band for band in (*bands, MISSING) if band in found]
    found = [value or MISSING for value in values]
    kinds = sorted(set(found) - {MISSING}, key=_natural)
    if len(kinds) > MOST:
        numbers = all(_is_number(kind) for kind in kinds)
        fix = f"give the ends of bands, such as by={name}:40,60" if numbers else "give a column with fewer"
        raise ConfigError(f"by: '{name}' has {len(kinds)} different values, more than {MOST}: {fix}")
    return found, [*kinds, *([MISSING] if MISSING in found else [])]


def _bands(ends: Sequence[float]) -> list[str]:
    shown = [f"{end:.4g}" for end in ends]
    between = [f"{low} to < {high}" for low, high in pairwise(shown)]
    return [f"< {shown[0]}", *between, f">= {shown[-1]}"]


def _number(name: str, value: str) -> float:
    if not _is_number(value):
        raise ConfigError(
            f"by: '{name}' has bands, but one of its values is {value!r}: give numbers, or leave bands out"
        )
    return float(value)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _natural(text: str) -> tuple[bool, float, str]:
    return (not _is_number(text), float(text) if _is_number(text) else 0.0, text)
