"""Names of the options that were typed: `loss=dice_bce` says more than the class `Composite` and its ten settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tandem.study.runs import Run

_CHOICE = re.compile(r"\+{0,2}(?P<group>[\w/]+)(?:@(?P<package>[\w.]+))?=(?P<option>\w+)")


def named(runs: Sequence[Run]) -> list[Run]:
    """Runs that know by which names their classes were chosen.

    A name counts if every run with a class at this key was given one by name. So one choice never has two names.

    Args:
        runs: of a study, with what was typed for each.
    """
    typed = [_typed(run) for run in runs]
    keys = {key for choices in typed for key in choices}
    having = {key: [choices for run, choices in zip(runs, typed, strict=True) if _has_class(run, key)] for key in keys}
    known = {key for key, found in having.items() if found and all(key in choices for choices in found)}
    return [
        replace(run, names={key: option for key, option in choices.items() if key in known and _has_class(run, key)})
        for run, choices in zip(runs, typed, strict=True)
    ]


def _typed(run: Run) -> dict[str, str]:
    """Options by the dotted key that they were chosen for; of several for one key the last one counts, as in Hydra."""
    found = {}
    for word in run.overrides:
        if match := _CHOICE.fullmatch(word):
            found[match["package"] or match["group"].replace("/", ".")] = match["option"]
    return found


def _has_class(run: Run, key: str) -> bool:
    node: Any = run.config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return isinstance(node, Mapping) and "_target_" in node
