"""The command `list_runs`: filters the runs below a folder, then lists them, compares two, or removes failed ones."""

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from tandem.config.resolve import check_runs
from tandem.config.schema import ListRunsConfig
from tandem.config.suggest import nearest
from tandem.config.typed import HELP
from tandem.errors import ConfigError
from tandem.list_runs.cleanup import check_states, removable, remove, size, why_not
from tandem.list_runs.filters import Filters, keep, split_words
from tandem.list_runs.found import ListedRun, differing, find
from tandem.utils.lazy_imports import collection_paused

log = logging.getLogger(__name__)

SORTS, FORMATS = ("when", "name", "best"), ("table", "csv", "json")


def main() -> None:
    """The command of `scripts/list_runs.py`."""
    from tandem.cli import run_tool

    filters: dict[str, tuple[str, ...]] = {}
    if not HELP & set(sys.argv[1:]):
        sys.argv[1:], filters = split_words(sys.argv[1:], [one.name for one in fields(ListRunsConfig)])
    run_tool(partial(list_job, filters=filters), "list_runs")


def list_job(config: Mapping[str, Any], filters: Filters) -> None:
    """Lists, compares or removes.

    Args:
        config: the resolved configuration of `conf/list_runs.yaml`.
        filters: settings that the runs must have.

    Raises:
        ConfigError: an option, a filter, or a run that does not exist.
    """
    from tandem.list_runs.compared import compare
    from tandem.list_runs.output import write_comparison, write_list

    for key, valid in (("sort", SORTS), ("format", FORMATS)):
        if config[key] not in valid:
            raise ConfigError(f"{key} is '{config[key]}': {nearest(config[key], valid)}")
    states = _words(config["delete"])
    check_states(states)
    root = Path(check_runs(config["runs"])).expanduser()
    with collection_paused():
        found = find(root)
        listed = ordered(keep(found, config["name"], _words(config["state"]), filters), config["sort"])
        if config["compare"] is not None:
            write_comparison(compare(found, _words(config["compare"])), config["format"], config["full"])
        elif states:
            clean(listed, states, root)
        else:
            write_list(listed, differing(listed), config["format"], config["full"])


def ordered(listed: Sequence[ListedRun], by: str) -> list[ListedRun]:
    """Sorts runs.

    Args:
        listed: in any order.
        by: `when`: the latest first; `name`, then by folder; `best`: the monitored value, runs without one last.
    """
    if by == "when":
        return sorted(listed, key=lambda one: (-one.when, str(one.folder)))
    if by == "name":
        return sorted(listed, key=lambda one: (one.name, str(one.folder)))

    def rank(one: ListedRun) -> float:
        up = one.run is not None and one.run.results.get("mode") == "max"
        return math.inf if one.best is None else -one.best if up else one.best

    return sorted(listed, key=lambda one: (one.monitor == "", one.monitor, rank(one), str(one.folder)))


def clean(listed: Sequence[ListedRun], states: Sequence[str], root: Path) -> None:
    """Removes runs: prints which, asks in a terminal, and prints what was removed.

    Args:
        listed: the runs that the filters leave.
        states: of those to remove.
        root: the folder of all runs.

    Raises:
        ConfigError: some could not be removed.
    """
    for one in listed:
        if one.state in states and (reason := why_not(one.folder, root)):
            log.warning("%s stays: %s", one.folder, reason)
    going = removable(listed, states, root)
    if not going:
        log.info("no run below %s is %s; nothing is removed", root, " or ".join(states))
        return
    for one in going:
        typed = " ".join(one.overrides) or "no overrides"
        log.info("%s %s, %.1f MB (%s): %s", one.state, one.folder, size(one.folder) / 1e6, typed, one.reason)
    if not _agreed(f"remove these {len(going)} folders with all that is in them? [y/N] "):
        log.info("nothing is removed")
        return
    stay = {one.folder: reason for one in going if (reason := remove(one.folder, root, states))}
    for folder, reason in stay.items():
        log.warning("%s stays: %s", folder, reason)
    log.info("removed %d of %d", len(going) - len(stay), len(going))
    if stay:
        raise ConfigError(f"{len(stay)} of {len(going)} folders stay, see above")


def _agreed(question: str) -> bool:
    """Asks in a terminal; elsewhere nobody could answer, and the word `delete` has said it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _words(given: Any) -> list[str]:
    """One word or several as a list; null is none."""
    if given is None:
        return []
    return [str(word) for word in given] if isinstance(given, list) else [str(given)]
