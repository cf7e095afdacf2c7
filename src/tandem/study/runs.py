"""The runs of a study as their `results.json` tell of them; nothing is read off the names of folders."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError, DataError
from tandem.jobs.plan import PLAN, never_started
from tandem.jobs.status import STATUS
from tandem.metrics.catalogue import Quantity
from tandem.metrics.stored import agreed, read_quantities
from tandem.runs.copies import check_copy, copy_line
from tandem.runs.folders import what_else
from tandem.study.settings import INNER, flat_settings
from tandem.utils.artifacts import IDENTITY, RESULTS, TRIALS, check_schema
from tandem.utils.digests import read_members
from tandem.utils.files import read_json
from tandem.utils.lazy_imports import collection_paused
from tandem.utils.walk import files_named

TRAINING = "tandem.train"
"""The module whose jobs leave runs."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        results: content of its `results.json`.
        metrics: the best checkpoint's numbers by logged name; None where nothing can be known.
        overrides: what was typed for it, where that is known.
        names: the options by which its classes were chosen, by dotted key; see `tandem.study.choice_names`.
    """

    folder: Path
    results: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    overrides: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        config: Mapping[str, Any] = self.results["config"]
        return config

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of its tasks."""
        return tuple(self.config["tasks"])

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """What its metrics are, by `<task>/<metric>`."""
        return read_quantities(self.results)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Every setting that can change a number, by dotted key."""
        return {**flat_settings(self.config, self.tasks), **self.names}


@dataclass(frozen=True)
class Unfinished:
    """A run without results that can be read.

    Attributes:
        folder: where it lies.
        state: `failed`, `interrupted`, `running` (or killed), `never started` or `unreadable`.
        reason: in one line; empty where nothing is known.
        overrides: what was typed for it.
    """

    folder: Path
    state: str
    reason: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """What lies below the folders of a study.

    Attributes:
        folders: that were read.
        runs: the finished ones, each once.
        unfinished: the others, among them jobs that were planned and never started.
        copies: a line for each copy of a run, which does not count again.
        trials: folders of runs that a search has chosen, so that no other run is missing beside them.
    """

    folders: tuple[Path, ...]
    runs: tuple[Run, ...]
    unfinished: tuple[Unfinished, ...]
    copies: tuple[str, ...] = ()
    trials: frozenset[Path] = frozenset()


def quantities_of(runs: Iterable[Run]) -> dict[str, Quantity]:
    """What the metrics of runs are, by `<task>/<metric>`; see `tandem.metrics.stored.agreed`."""
    return agreed(run.quantities for run in runs)


def read_study(folders: Sequence[Path]) -> Study:
    """Reads every run below some folders, at any depth, links to folders included.

    A run that lies there twice (the same `hash`, numbers and weights) counts once, and its copies are named. A file
    that cannot be read never hides the others.

    Args:
        folders: such as `runs/focal_grid`.

    Raises:
        ConfigError: there is no such folder, or two runs have one hash and other numbers or weights.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}; give the folder of a study, such as runs/focal_grid")
    runs: dict[str, Run] = {}
    unfinished, copies = [], []
    found = _below(folders, RESULTS, STATUS, PLAN, TRIALS)
    for path in found[RESULTS]:
        try:
            with collection_paused():
                run = read_run(path)
        except (OSError, ValueError, DataError) as error:
            reason = " ".join(str(error).split())
            unfinished.append(Unfinished(path.parent, "unreadable", reason, _overrides(path.with_name(STATUS))))
            continue
        first = runs.setdefault(str(run.results.get("hash", path.parent)), run)
        if first is not run:
            check_copy(run.folder, run.results, first.folder, first.results)
            copies.append(copy_line(run.folder, first.folder))
    for path in found[STATUS]:
        if path.with_name(RESULTS).exists() or what_else(path.parent) is not None or not (status := _status(path)):
            continue
        state, reason = str(status["state"]), str(status.get("error", ""))
        unfinished.append(Unfinished(path.parent, state, reason, _overrides(path)))
    begun = {str(run.results.get("hash")) for run in runs.values()}  # also where a folder was renamed
    begun |= {str(read_identity(run.folder).get("hash")) for run in unfinished}
    unfinished += [
        Unfinished(folder, "never started", "planned by a sweep, or removed since", overrides)
        for folder, overrides in never_started((path.parent for path in found[PLAN]), TRAINING)
        if folder.name not in begun
    ]
    trials = trial_folders(path.parent for path in found[TRIALS])
    return Study(tuple(folders), tuple(runs.values()), tuple(unfinished), tuple(copies), trials)


def read_identity(folder: Path) -> dict[str, Any]:
    """What the folder of a run says of its identity; empty if it says nothing."""
    try:
        found = read_json(folder / IDENTITY)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def trial_folders(places: Iterable[Path]) -> frozenset[Path]:
    """Folders of the runs that searches have chosen, by their tables; the folders may have moved since.

    Args:
        places: folders of searches.
    """
    found: set[Path] = set()
    for place in places:
        with (place / TRIALS).open(newline="", encoding="utf-8") as file:
            names = (Path(row.get("folder") or "").name for row in csv.DictReader(file))
            found |= {(place / name).resolve() for name in names if name}
    return frozenset(found)


def _below(folders: Iterable[Path], *names: str) -> dict[str, list[Path]]:
    """Files by their names, each once, also if several links lead to it."""
    found: dict[str, dict[Path, Path]] = {name: {} for name in names}
    for folder in folders:
        for path in files_named(folder, *names):
            found[path.name].setdefault(path.resolve(), path)
    return {name: [paths[real] for real in sorted(paths)] for name, paths in found.items()}


def read_run(path: Path) -> Run:
    """One finished run.

    Raises:
        ValueError: no JSON, or not what a run of this version leaves.
        DataError: quantities that tandem does not write.
    """
    results = read_members(path, ("metrics", "config", *(f"config.{key}" for key in INNER)))
    whole = results if isinstance(results, Mapping) else {}
    config, metrics = whole.get("config"), whole.get("metrics")
    found = {"config": config, "config.tasks": config.get("tasks") if isinstance(config, Mapping) else None}
    for key, value in {**found, "metrics": metrics}.items():
        if not isinstance(value, Mapping):
            told = f"{RESULTS} has no '{key}': written by an older version of tandem? train it again"
            raise ValueError(told)  # noqa: TRY004 (what is wrong is a file)
    check_schema(whole.get("schema"), path)
    assert isinstance(metrics, Mapping)
    run = Run(path.parent, results, Numbers(metrics), _overrides(path.with_name(STATUS)))
    _ = run.quantities  # read here, so that what is wrong with them is said of this file
    return run


class Numbers(Mapping[str, float | None]):
    """Metrics, each read when it is asked for: a list of runs shows one of a hundred.

    Args:
        kept: as `results.json` has them; what is no finite number becomes None.
    """

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self.kept = kept
        self.read: dict[str, float | None] = {}

    def __getitem__(self, key: str) -> float | None:
        if key not in self.read:
            self.read[key] = _number(self.kept[key])
        return self.read[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def _status(path: Path) -> dict[str, Any]:
    """What a status file says; nothing, if it is another program's."""
    try:
        status = read_json(path)
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) and "state" in status else {}


def _overrides(path: Path) -> tuple[str, ...]:
    typed = _status(path).get("overrides")
    return tuple(map(str, typed)) if isinstance(typed, list) else ()
