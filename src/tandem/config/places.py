"""Paths of a run's configuration, kept absolute beside what was typed, so that the run can be used from elsewhere."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tandem.config.identity import CONTENTS, PATHS

KEYS = (*PATHS, "data.groups", *CONTENTS)
"""Options that are paths of files or folders; `data.groups` may also be the word `none`."""

STORED = "paths"
"""Key of `results.json` with the absolute paths."""


def absolute_paths(config: Mapping[str, Any]) -> dict[str, str]:
    """The absolute path of each option that is a path, by dotted key, for `results.json`.

    Args:
        config: a resolved configuration, whose relative paths begin in the working directory.

    Example:
        >>> list(absolute_paths({"data": {"root": "images", "split_file": None}, "resume_from": None}))
        ['data.root']
    """
    return {
        key: str(Path(value).expanduser().absolute())
        for key, parent, last in _places(config)
        if isinstance(value := parent.get(last), str) and value and not (last == "groups" and value == "none")
    }


def stored_config(results: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a finished run, with its paths as they can be used now, in any working directory.

    The absolute path is taken where it exists, else what was typed where that exists, as after a project has moved.

    Args:
        results: content of `results.json`; without absolute paths, as of an older tandem, all stays as typed.
    """
    config: dict[str, Any] = copy.deepcopy(dict(results.get("config") or {}))
    known = results.get(STORED)
    known = known if isinstance(known, Mapping) else {}
    for key, parent, last in _places(config):
        path, typed = known.get(key), parent.get(last)
        if not isinstance(path, str) or not isinstance(typed, str):
            continue
        if Path(path).exists() or not Path(typed).expanduser().exists():
            parent[last] = path
    return config


def _places(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each option that may be a path: its dotted key, the dict that holds it, and the last part of the key."""
    for key in KEYS:
        first, _, last = key.rpartition(".")
        node = config.get(first) if first else config
        if isinstance(node, dict):
            yield key, node, last
        if first == "data" and isinstance(node, Mapping) and isinstance(sources := node.get("sources"), Mapping):
            for name, source in sources.items():
                if isinstance(source, dict):
                    yield f"data.sources.{name}.{last}", source, last
