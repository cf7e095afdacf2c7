"""Where a choice is kept: in the run's folder and checkpoint, and for runs of the same structure in the cache."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tandem.runs.performance import Computing, read_computing
from tandem.utils.artifacts import COMPUTING_KEY, LAST, PERFORMANCE
from tandem.utils.digests import check_intact, read_artifact
from tandem.utils.files import write_json
from tandem.utils.locks import Locked, NoLocks, holding

log = logging.getLogger(__name__)

Choice = TypeVar("Choice")

FILLED = "number"
"""What stands for a number of a loss: runs that differ in it alone share a choice."""

NUMBERED = ("loss", "losses", "weights")
"""Keys below which every number is left out."""


def structure(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a step's duration depends on: not the seed, nor numbers of losses, balance and optimiser.

    Args:
        config: the resolved configuration.

    Example:
        >>> one = {"network": {"depth": 3}, "tasks": {"a": {"loss": {"gamma": 2.0}}}, "optimizer": {"lr": 0.1}}
        >>> other = {**one, "tasks": {"a": {"loss": {"gamma": 3}}}, "optimizer": {"lr": 0.2}, "seed": 7}
        >>> structure(one) == structure(other)
        True
        >>> structure(one) == structure({**one, "network": {"depth": 4}})
        False
    """
    network = {key: value for key, value in (config.get("network") or {}).items() if not key.startswith("weights")}
    parts = {key: _without_numbers(config.get(key), True) for key in ("balance", "optimizer", "parameters")}
    clip = (config.get("trainer") or {}).get("gradient_clip_val") is not None
    return {"network": network, "tasks": _without_numbers(config.get("tasks"), False), "clip": clip, **parts}


def _without_numbers(node: Any, inside: bool) -> Any:
    """Replaces floats, and inside of a loss every number, by a word."""
    if isinstance(node, Mapping):
        return {key: _without_numbers(value, inside or key in NUMBERED) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_numbers(value, inside) for value in node]
    number = isinstance(node, float) or (inside and isinstance(node, int) and not isinstance(node, bool))
    return FILLED if number else node


def cache_file(folder: Path, facts: Mapping[str, Any]) -> Path:
    """The file of a choice, named by everything that it depends on.

    Args:
        folder: the cache.
        facts: structure, sizes, device, processor, versions and what was asked.
    """
    canonical = json.dumps(facts, sort_keys=True, default=str)
    return folder / COMPUTING_KEY / f"{hashlib.sha256(canonical.encode()).hexdigest()[:24]}.json"


def read_cache(path: Path, read: Callable[[object], Choice]) -> Choice | None:
    """The choice in a file of the cache; None if there is none, or it is damaged, which is logged.

    Args:
        path: as of `cache_file`.
        read: makes the choice of plain values, and raises ValueError if they are none.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return read(stored[COMPUTING_KEY])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("cache file %s is damaged (%s): measuring again", path, " ".join(str(error).split())[:120])
        return None


def write_cache(path: Path, found: Mapping[str, Any], facts: Mapping[str, Any], times: Mapping[str, float]) -> None:
    """Writes a choice with what it is of and the median seconds of a step; a cache that cannot be written is logged.

    Args:
        path: as of `cache_file`.
        found: the choice as plain values.
        facts: what it depends on.
        times: by setting in words.
    """
    try:
        write_json(
            path, {COMPUTING_KEY: dict(found), "seconds": times, "of": json.loads(json.dumps(facts, default=str))}
        )
    except OSError as error:
        log.warning("cache %s cannot be written (%s), so every run measures: set data.cache=...", path.parent, error)


def kept(folder: Path) -> Computing | None:
    """The choice of a run that goes on, from its folder or its last checkpoint; None if it has made none.

    Args:
        folder: the run's folder.
    """
    if (folder / PERFORMANCE).is_file():
        return read_computing(read_artifact(folder / PERFORMANCE))
    if not (folder / LAST).is_file():
        return None
    import torch

    check_intact(folder / LAST)
    stored = torch.load(folder / LAST, weights_only=True, map_location="cpu")
    return read_computing(stored[COMPUTING_KEY]) if COMPUTING_KEY in stored else None


def keep(found: Computing, folder: Path) -> None:
    """Writes a choice into a run's folder."""
    write_json(folder / PERFORMANCE, found.plain())


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Inside, no other process measures for the same file, where the file system has locks."""
    with ExitStack() as stack:
        try:
            stack.enter_context(holding(path.with_suffix(".lock"), patience=120))
        except (Locked, NoLocks, OSError) as error:
            log.info("performance: measuring without a lock (%s)", type(error).__name__)
        yield
