"""The settings of a run as a flat dict, without those that only change how it is shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from tandem.config.identity import is_neutral, is_presentation
from tandem.utils.json_members import Members, made_of

INNER = ("tasks",)
"""Parts of a configuration that are read by member too."""


def flat_settings(config: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    """Every setting that can change a number, by dotted key; see `tandem.study.swept_params.settings_of`.

    Args:
        config: the resolved configuration.
        tasks: names of its tasks.

    Example:
        >>> flat_settings({"seed": 1, "name": "a", "loss": {"_target_": "x.Focal", "gamma": 2}, "tasks": {}}, ["area"])
        {'seed': 1, 'loss': 'Focal', 'loss.gamma': 2, 'tasks': 'area'}
    """
    found: dict[str, Any] = {}
    _add_members(found, config, "")
    found["tasks"] = "+".join(tasks)
    return found


def _add_members(found: dict[str, Any], node: Mapping[str, Any], prefix: str) -> None:
    """Adds the settings below a node, of members whose texts are equal in many runs once for all."""
    for key in node:
        name = f"{prefix}{key}"
        if isinstance(inner := node[key] if key in INNER else None, Members):
            _add_members(found, inner, f"{name}.")
        else:
            found |= made_of(node, key, _below, name)


def _below(name: str, value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _add(found, {name: value}, "")
    return found


def _add(found: dict[str, Any], node: dict[str, Any], prefix: str) -> None:
    """Adds the settings below a node. A list of a thousand runs does this for each, so no generators are nested."""
    for key, value in node.items():
        if key == "_target_":
            name, value = prefix[:-1], str(value).rpartition(".")[2]
        else:
            name = f"{prefix}{key}"
        if is_presentation(name):  # and so is all below it
            continue
        if isinstance(value, dict):
            if value:
                _add(found, value, f"{name}.")
                continue
            value = None  # an empty group is a choice of nothing
        elif isinstance(value, list):
            if any(isinstance(item, dict) for item in value):
                _add(found, {str(index): item for index, item in enumerate(value)}, f"{name}.")
                continue
            value = _plain(value)
        if not is_neutral(name, value):
            found[name] = value


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_plain, value))
    return None if isinstance(value, dict) else value
