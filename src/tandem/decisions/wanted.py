"""A wanted sensitivity, specificity or positive predictive value, as it is typed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tandem.errors import ConfigError

MEASURES = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "precision"}
"""What can be wanted, and its name among the counts."""

SYNONYMS = {"recall": "sensitivity", "precision": "ppv"}

_WORDS = re.compile(r"\s*([a-z]+)\s*(?::|>=)\s*([0-9.]+)\s*")


@dataclass(frozen=True)
class Wanted:
    """A sensitivity, specificity or PPV that the threshold must reach.

    Attributes:
        measure: `sensitivity`, `specificity` or `ppv`.
        least: the lowest value, in (0, 1].
    """

    measure: str
    least: float

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.measure}:{self.least:g}"


def read_wanted(value: Any) -> Wanted:
    """Reads what is typed: `sensitivity:0.95`, which needs no quotes in a shell, or `sensitivity>=0.95`.

    Raises:
        ConfigError: it is something else.

    Example:
        >>> read_wanted("sensitivity:.95"), read_wanted("precision>=0.8")
        (Wanted(measure='sensitivity', least=0.95), Wanted(measure='ppv', least=0.8))
    """
    found = _WORDS.fullmatch(value) if isinstance(value, str) else None
    name = SYNONYMS.get(found[1], found[1]) if found else ""
    try:
        least = float(found[2]) if found else 0.0
    except ValueError:
        least = 0.0
    if name not in MEASURES or not 0 < least <= 1:
        raise ConfigError(
            f"{value!r} is no wanted value: write threshold=sensitivity:0.95, or specificity: or ppv:, in (0, 1]"
        )
    return Wanted(name, least)


def is_wanted(value: Any) -> bool:
    """Whether a text begins as a wanted value does, right or wrong.

    Example:
        >>> is_wanted("sensitivity:2"), is_wanted("stored"), is_wanted(0.5)
        (True, False, False)
    """
    return isinstance(value, str) and re.match(r"\s*[a-z]+\s*(:|>=)", value) is not None


def read_threshold(value: Any) -> Any:
    """Reads the option `threshold`, or each of its values by task: a wanted value becomes a `Wanted`.

    Raises:
        ConfigError: it begins as a wanted value, but is none.
    """
    if isinstance(value, Mapping):
        return {name: read_threshold(one) for name, one in value.items()}
    return read_wanted(value) if is_wanted(value) else value


def check_threshold(value: Any, words: tuple[str, ...] = ("stored",)) -> None:
    """Raises if a threshold, or one of those by task, is none.

    Args:
        value: as `read_threshold` gives it.
        words: what it may be beside a number and a wanted value.

    Raises:
        ConfigError: it is something else.
    """
    for one in value.values() if isinstance(value, Mapping) else (value,):
        number = isinstance(one, int | float) and not isinstance(one, bool) and 0 < one < 1
        if not number and not isinstance(one, Wanted) and one not in words:
            known = ", ".join(f"'{word}'" for word in words)
            raise ConfigError(
                f"threshold is {one!r}, but must be {known}, a number inside (0, 1), or such as sensitivity:0.95"
            )


def shown_threshold(value: Any) -> Any:
    """The option as it is typed, for files.

    Example:
        >>> shown_threshold({"segmentation": read_threshold("ppv:.9"), "sick": "stored"})
        {'segmentation': 'ppv:0.9', 'sick': 'stored'}
    """
    if isinstance(value, Mapping):
        return {name: shown_threshold(one) for name, one in value.items()}
    return str(value) if isinstance(value, Wanted) else value
