"""Whether a run has a setting: the one rule of `tandem-list-runs` and `tandem.find_runs`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tandem.study.swept_params import show_value

BETWEEN = re.compile(r",(?![^\[({]*[\])}])")
"""A comma outside of brackets."""


def split_filter(word: str) -> tuple[str, tuple[str, ...]]:
    """Key and accepted values of a filter as typed.

    Example:
        >>> split_filter("seed=0,1"), split_filter("+sizes=[1,2]")
        (('seed', ('0', '1')), ('sizes', ('[1,2]',)))
    """
    key, _, value = word.partition("=")
    return key.lstrip("+~"), tuple(part.strip() for part in BETWEEN.split(value))


def has_setting(
    key: str, values: Iterable[str], overrides: Sequence[str], settings: Mapping[str, Any], config: Mapping[str, Any]
) -> bool:
    """Whether a run has one of some values.

    What was typed counts, and every setting. A key may be the end of a dotted key, unless the run has that very key:
    `seed` is no `data.seed`.

    Args:
        key: dotted.
        values: as one would type them.
        overrides: what was typed for the run.
        settings: by dotted key, see `tandem.study.swept_params.settings_of`; empty where the run is not finished.
        config: resolved, for keys that change no number.
    """
    typed = [word.lstrip("+").partition("=")[::2] for word in overrides]
    known = [*typed, *((full, show_value(value)) for full, value in settings.items()), *_at(config, key)]
    found = [value for full, value in known if full == key] or [value for full, value in known if is_end(full, key)]
    return any(_same(value, wanted) for value in found for wanted in values)


def is_end(full: str, key: str) -> bool:
    """Whether a key is a dotted key or its end."""
    return full == key or full.endswith(f".{key}")


def _at(config: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return []
        node = node[part]
    return [] if isinstance(node, Mapping) else [(key, show_value(node))]


def _same(value: str, wanted: str) -> bool:
    """Whether a setting is what was asked for: as a number, or as a word in any case; null is none."""
    try:
        return float(value) == float(wanted)
    except ValueError:
        one, other = (text.strip("'\"").casefold().replace(", ", ",") for text in (value, wanted))
        return ("none" if one == "null" else one) == ("none" if other == "null" else other)
