"""Two runs side by side: the settings and circumstances in which they differ, and their metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError
from tandem.list_runs.found import ListedRun
from tandem.metrics.catalogue import describe
from tandem.metrics.stored import agreed
from tandem.study.swept_params import ABSENT, show_value

FACTS = ("data", "device", "processor", "threads", "versions")
"""Circumstances of a run that can change its numbers."""


@dataclass(frozen=True)
class Comparison:
    """What two runs have side by side.

    Attributes:
        runs: the two.
        settings: key, and the value of each.
        metrics: logged name, value of each, None where it is not defined.
    """

    runs: tuple[ListedRun, ListedRun]
    settings: Sequence[tuple[str, str, str]]
    metrics: Sequence[tuple[str, float | None, float | None]]


def compare(listed: Sequence[ListedRun], named: Sequence[str]) -> Comparison:
    """Compares two finished runs.

    Args:
        listed: all runs.
        named: beginnings of two hashes, or two folders.

    Raises:
        ConfigError: not two, no such run, several, or one that is not finished.
    """
    if len(named) != 2:
        raise ConfigError(f"compare names {len(named)} runs, but must name two: compare=[RUN,RUN]")
    one, other = (_one(listed, name) for name in named)
    keys = dict.fromkeys([*one.settings, *other.settings])
    values = [(key, *(show_value(run.settings.get(key, ABSENT)) for run in (one, other))) for key in keys]
    facts = [(key, *(_fact(run, key) for run in (one, other))) for key in FACTS]
    names = sorted({*_metrics(one), *_metrics(other)}, key=lambda name: _order(name, one, other))
    return Comparison(
        (one, other),
        [(key, first, second) for key, first, second in [*values, *facts] if first != second],
        [(name, _metrics(one).get(name), _metrics(other).get(name)) for name in names],
    )


def _one(listed: Sequence[ListedRun], name: str) -> ListedRun:
    place = Path(name).expanduser().resolve()
    found = [run for run in listed if run.folder.resolve() == place] or [
        run for run in listed if run.hash.startswith(name)
    ]
    if len(found) != 1:
        several = f"{len(found)} runs ({', '.join(str(run.folder) for run in found[:3])}, ...)" if found else "no run"
        raise ConfigError(f"compare={name} is {several}; give more digits of the hash, or the folder")
    if found[0].run is None:
        raise ConfigError(f"compare={name} is {found[0].state}, so it has no results to compare")
    return found[0]


def _fact(listed: ListedRun, key: str) -> str:
    """A circumstance of a run in words."""
    results: Any = {} if listed.run is None else listed.run.results
    value = results.get(key)
    if key == "data" and isinstance(value, dict):
        return f"{value.get('name')} {value.get('content') or value.get('fingerprint')!s}"
    return ", ".join(f"{name} {number}" for name, number in value.items()) if isinstance(value, dict) else str(value)


def _metrics(listed: ListedRun) -> dict[str, float | None]:
    return {} if listed.run is None else dict(listed.run.metrics)


def _order(name: str, one: ListedRun, other: ListedRun) -> tuple[str, int, str, str]:
    """Tasks by name, each with its metrics in the order of tables, validation before test."""
    stored = agreed(run.run.quantities for run in (one, other) if run.run is not None)
    stage, _, rest = name.partition("/")
    return rest.partition("/")[0], describe(name, stored).order, rest, "0" if stage == "val" else stage
