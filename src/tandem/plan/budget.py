"""A budget of time: `10m`, `1h`, `night`."""

import re

from tandem.errors import ConfigError

NIGHT = 8 * 3600.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

LEAST = 120.0
"""Seconds: below, the start of Python, the calibration and the pages take most of a budget."""


def seconds_of(text: object) -> float:
    """Returns the seconds of a budget.

    Args:
        text: a number with `m` or `h`, or `night`, which is eight hours.

    Raises:
        ConfigError: it is none, or too short for a run.

    Example:
        >>> seconds_of("10m"), seconds_of("1.5h"), seconds_of("night")
        (600.0, 5400.0, 28800.0)
    """
    word = str(text).strip().lower()
    if word == "night":
        return NIGHT
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])(?:in|ours?|ec)?", word)
    if found is None:
        raise ConfigError(f"budget is '{text}', but must be a time such as 10m, 1h or night")
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds < LEAST:
        raise ConfigError(f"budget={text} is too short: reading and calibrating take part of it; give at least 2m")
    return seconds


def words_of(seconds: float) -> str:
    """A time in words.

    Example:
        >>> words_of(600), words_of(5400), words_of(42)
        ('10 minutes', '1.5 hours', '42 seconds')
    """
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.3g} minutes" if seconds < 5400 else f"{seconds / 3600:.3g} hours"
