"""What was swept: the settings that differ among the runs, by their configurations."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from tandem.reports.sweep_table import short_key
from tandem.study.runs import Run

ABSENT = "-"
"""The value of a setting that a run does not have."""

Settings = Mapping[str, Any]

Replicate = tuple[tuple[str, Any], ...]
"""Seed and fold of a run: keys with their values."""

SOURCE = re.compile(r"^data\.sources\.[^.]+\.")
"""Where mixed data have the settings of one source."""


def settings_of(run: Run) -> Settings:
    """Every setting of a run that can change a number, by dotted key.

    A class (`_target_`) stands under the key of what it is chosen for, by the name of the option that was typed, else
    by its short name; `tasks` names the tasks.

    Args:
        run: with its configuration.
    """
    return run.settings


def replicate_keys(runs: Iterable[Run]) -> list[str]:
    """The seed, and those other seeds and folds that have several values: what may differ within a cell or a pair."""
    settings = [settings_of(run) for run in runs]
    keys = dict.fromkeys(["seed", *filter(is_replicate, dict.fromkeys(itertools.chain.from_iterable(settings)))])
    return [key for key in keys if key == "seed" or len({flat[key] for flat in settings if key in flat}) > 1]


def replicate_of(run: Run, keys: Iterable[str]) -> Replicate:
    """Seed and fold of a run: those of some keys that it has, with their values."""
    settings = settings_of(run)
    return tuple((key, settings[key]) for key in keys if settings.get(key) is not None)


@cache  # every run has the same few hundred keys
def is_replicate(key: str) -> bool:
    """Whether a setting is a seed or a fold.

    Example:
        >>> [key for key in ("seed", "data.fold", "data.folds", "optimizer.lr") if is_replicate(key)]
        ['seed', 'data.fold']
    """
    return key == "seed" or SOURCE.sub("data.", key) in ("data.fold", "data.seed", "data.split_seed")


def swept_params(runs: Sequence[Run]) -> list[str]:
    """Returns the keys of the options that differ among the runs, in the order of the configuration.

    Seeds and folds are left out. So are options that merely follow from another choice: another loss has other options,
    and these count only if they differ between runs with that same loss. Options of a task are compared among the runs
    that have it.

    Args:
        runs: the runs of a study.
    """
    settings = [settings_of(run) for run in runs]
    keys = [key for key in dict.fromkeys(itertools.chain.from_iterable(settings)) if not is_replicate(key)]
    differing = [key for key in keys if _differs(key, _with_task(key, settings))]
    return [key for key in differing if _own(key, differing, _with_task(key, settings))]


def param_labels(params: Sequence[str], runs: Iterable[Run]) -> dict[str, str]:
    """Returns the shortest ending of each key that is unique, with its parent if the ending is a task's name.

    Args:
        params: dotted keys.
        runs: the runs, which know the names of the tasks.
    """
    tasks = {task for run in runs for task in run.tasks}
    labels = {key: short_key(key, params) for key in params}
    return {key: ".".join(key.split(".")[-2:]) if label in tasks else label for key, label in labels.items()}


def show_value(value: Any) -> str:
    """A setting as one would type it.

    Example:
        >>> [show_value(value) for value in (0.250, None, True, (1, 2), "dice")]
        ['0.25', 'none', 'true', '[1, 2]', 'dice']
    """
    if isinstance(value, tuple):
        return f"[{', '.join(map(show_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def order_of(value: Any) -> tuple[int, float, str]:
    """A key for sorting values of mixed types: numbers by size, then words."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    return 1, 0.0, show_value(value)


def _with_task(key: str, settings: Sequence[Settings]) -> Sequence[Settings]:
    """The runs among which a key is compared: all, or those that have its task."""
    match = re.match(r"(?:tasks|balance\.weights)\.([^.]+)", key)
    return settings if match is None else [flat for flat in settings if match[1] in flat["tasks"].split("+")]


def _differs(key: str, settings: Sequence[Settings]) -> bool:
    return len({flat.get(key, ABSENT) for flat in settings}) > 1


def _own(key: str, differing: Sequence[str], settings: Sequence[Settings]) -> bool:
    """Whether a key differs also between runs that agree in every choice which it may follow from."""
    owners = [owner for owner in differing if owner != key and _may_follow(key, owner)]
    groups: dict[tuple[Any, ...], list[Settings]] = {}
    for flat in settings:
        groups.setdefault(tuple(flat.get(owner, ABSENT) for owner in owners), []).append(flat)
    return any(_differs(key, group) for group in groups.values())


def _may_follow(key: str, owner: str) -> bool:
    if owner == "tasks":  # which tasks there are decides what is monitored
        return key.rpartition(".")[2] in ("monitor", "mode")
    if owner in ("monitor", "mode"):
        return key.startswith("callbacks.") and key.rpartition(".")[2] == owner
    return key.startswith((f"{owner}.", f"{owner}_options."))
