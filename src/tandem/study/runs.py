"""The runs of a study as their `results.json` tell of them; nothing is read off the names of folders."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError, DataError
from tandem.metrics.catalogue import Quantity
from tandem.metrics.stored import agreed, read_quantities
from tandem.utils.artifacts import check_schema
from tandem.utils.digests import read_artifact
from tandem.utils.files import read_json

RESULTS, STATUS = "results.json", "status.json"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        results: content of its `results.json`.
        metrics: the best checkpoint's numbers by logged name; None where nothing can be known.
        overrides: what was typed for it, where that is known.
    """

    folder: Path
    results: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    overrides: tuple[str, ...]

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        config: Mapping[str, Any] = self.results["config"]
        return config

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of its tasks."""
        return tuple(self.config["tasks"])

    @property
    def quantities(self) -> dict[str, Quantity]:
        """What its metrics are, by `<task>/<metric>`."""
        return read_quantities(self.results)


@dataclass(frozen=True)
class Unfinished:
    """A run without results that can be read.

    Attributes:
        folder: where it lies.
        state: `failed`, `interrupted`, `running` (or killed) or `unreadable`.
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
        unfinished: the others.
    """

    folders: tuple[Path, ...]
    runs: tuple[Run, ...]
    unfinished: tuple[Unfinished, ...]


def quantities_of(runs: Iterable[Run]) -> dict[str, Quantity]:
    """What the metrics of runs are, by `<task>/<metric>`; see `tandem.metrics.stored.agreed`."""
    return agreed(run.quantities for run in runs)


def read_study(folders: Sequence[Path]) -> Study:
    """Reads every run below some folders, at any depth.

    A run that lies there twice (the same `hash`) counts once. A file that cannot be read never hides the others.

    Args:
        folders: such as `runs/focal_grid`.

    Raises:
        ConfigError: there is no such folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}; give the folder of a study, such as runs/focal_grid")
    runs: dict[str, Run] = {}
    unfinished = []
    for path in _below(folders, RESULTS):
        try:
            run = _run(path)
        except (OSError, ValueError, DataError) as error:
            reason = " ".join(str(error).split())
            unfinished.append(Unfinished(path.parent, "unreadable", reason, _overrides(path.with_name(STATUS))))
        else:
            runs.setdefault(str(run.results.get("hash", path.parent)), run)
    for path in _below(folders, STATUS):
        if not path.with_name(RESULTS).exists() and (status := _status(path)):
            found = Unfinished(path.parent, str(status["state"]), str(status.get("error", "")), _overrides(path))
            unfinished.append(found)
    return Study(tuple(folders), tuple(runs.values()), tuple(unfinished))


def _below(folders: Iterable[Path], name: str) -> list[Path]:
    return sorted({path.resolve(): path for folder in folders for path in folder.rglob(name)}.values())


def _run(path: Path) -> Run:
    """One finished run.

    Raises:
        ValueError: no JSON, or not what a run of this version leaves.
        DataError: quantities that tandem does not write.
    """
    results = read_artifact(path)
    whole = results if isinstance(results, dict) else {}
    config = whole.get("config")
    found = {"config": config, "config.tasks": config.get("tasks") if isinstance(config, dict) else None}
    for key, value in {**found, "metrics": whole.get("metrics")}.items():
        if not isinstance(value, dict):
            told = f"{RESULTS} has no '{key}': written by an older version of tandem? train it again"
            raise ValueError(told)  # noqa: TRY004 (what is wrong is a file)
    check_schema(whole.get("schema"), path)
    read_quantities(results)
    metrics = {key: _number(value) for key, value in results["metrics"].items()}
    return Run(path.parent, results, metrics, _overrides(path.with_name(STATUS)))


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
    typed = _status(path).get("overrides") if path.exists() else None
    return tuple(map(str, typed)) if isinstance(typed, list) else ()
