"""The jobs that sweeps have planned: a file beside the jobs' folders, from which a study sees what never started."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError
from tandem.jobs.outcome import SweepJob
from tandem.jobs.status import STATUS
from tandem.utils.artifacts import RESULTS
from tandem.utils.files import read_json, write_json
from tandem.utils.turns import taking_turns

PLAN = "planned.json"


def write_plan(jobs: Sequence[SweepJob]) -> None:
    """Adds the jobs of a sweep to the plans beside their folders.

    Args:
        jobs: all jobs of the sweep, also those that are finished.

    Raises:
        ConfigError: the sweep has no job.
    """
    if not jobs:
        raise ConfigError(
            "the sweep has no job: a list, range or glob in it is empty; check its values, such as optimizer=glob(*)"
        )
    places: dict[Path, dict[str, Any]] = {}
    for job in jobs:
        folder = Path(job.folder)
        entry = {"command": _command(job), "overrides": list(job.overrides)}
        places.setdefault(folder.parent, {})[folder.name] = entry
    for place, planned in places.items():
        with taking_turns(place):
            before = _read(place)
            if (now := {**before, **planned}) != before:
                write_json(place / PLAN, now)


def planned_overrides(folder: Path) -> dict[str, tuple[str, ...]]:
    """The overrides of all jobs that sweeps have planned beside a job, and its own, by the names of their folders.

    Args:
        folder: of a job; empty, if no sweep has planned it.
    """
    planned = _read(folder.parent)
    if folder.name not in planned:
        return {}
    return {
        name: tuple(map(str, entry.get("overrides") or ()))
        for name, entry in planned.items()
        if isinstance(entry, dict)
    }


def never_started(places: Iterable[Path], command: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yields folder and overrides of each job that was planned and has left neither results nor a state.

    Args:
        places: folders with a plan.
        command: the module that runs the jobs, such as `tandem.train`; jobs of others are left out.
    """
    for place in places:
        for name, entry in _read(place).items():
            folder = place / name
            if not isinstance(entry, dict) or entry.get("command") != command or Path(name).name != name:
                continue
            if not (folder / RESULTS).exists() and not (folder / STATUS).exists():
                yield folder, tuple(map(str, entry.get("overrides") or ()))


def _command(job: SweepJob) -> str:
    """The module that runs a job: what follows `-m` in the arguments of Python."""
    pairs = zip(job.arguments, job.arguments[1:], strict=False)
    return next((module for flag, module in pairs if flag == "-m"), "")


def _read(place: Path) -> dict[str, Any]:
    try:
        found = read_json(place / PLAN)
    except (OSError, ValueError):  # none yet, or another program's
        return {}
    return found if isinstance(found, dict) else {}
