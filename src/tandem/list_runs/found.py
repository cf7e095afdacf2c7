"""The runs below a folder, in every state, as far as their files tell of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError, DataError
from tandem.jobs.status import STATUS, read_status
from tandem.reports.sweep_table import short_key
from tandem.runs.folders import FINISHED, NO_RUN, FolderState, state_of
from tandem.study.runs import Run, read_identity, read_run
from tandem.study.swept_params import (
    ABSENT,
    param_labels,
    replicate_keys,
    settings_of,
    show_value,
    swept_params,
)
from tandem.utils.artifacts import RESULTS
from tandem.utils.walk import files_named


@dataclass(frozen=True)
class ListedRun:
    """A run of the list.

    Attributes:
        folder: where it lies.
        name: of the study it belongs to.
        hash: that names it.
        state: `finished`, `failed`, `interrupted`, `killed`, `running`, ...
        reason: of the state, in one line; may be empty.
        when: when its state was written, in seconds since 1970.
        overrides: what was typed for it, where that is known.
        run: of a finished run, what its results tell.
        settings: of a finished run, every setting that can change a number.
    """

    folder: Path
    name: str
    hash: str
    state: str
    reason: str
    when: float
    overrides: tuple[str, ...]
    run: Run | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def monitor(self) -> str:
        """Logged name of the monitored value; empty if the run is not finished."""
        return "" if self.run is None else str(self.run.results.get("monitor", ""))

    @property
    def best(self) -> float | None:
        """The monitored value of the best checkpoint."""
        return None if self.run is None else self.run.metrics.get(self.monitor)


def find(root: Path) -> list[ListedRun]:
    """The runs below a folder, links to folders included.

    Args:
        root: the folder.

    Raises:
        ConfigError: there is none.
    """
    if not root.is_dir():
        raise ConfigError(f"there is no folder {root}; give that of the runs, such as runs=runs")
    folders = dict.fromkeys(path.parent for path in files_named(root, RESULTS, STATUS))
    return [listed for folder in folders if (listed := _listed(folder, root)) is not None]


def _listed(folder: Path, root: Path) -> ListedRun | None:
    """A folder as a run; None if it is that of another command."""
    run, fault = _finished(folder)
    state = FolderState(FINISHED) if run is not None else state_of(folder)
    if state.state == NO_RUN:
        return None
    unreadable = run is None and state.state == FINISHED
    typed = read_status(folder).get("overrides") if run is None else run.overrides
    return ListedRun(
        folder=folder,
        name=str(run.results["name"]) if run is not None and "name" in run.results else _name(folder, root),
        hash=str((run.results if run is not None else read_identity(folder)).get("hash") or folder.name),
        state="unreadable" if unreadable else state.state,
        reason=fault if unreadable else state.reason,
        when=max(changed(folder / name) for name in (RESULTS, STATUS)),
        overrides=tuple(map(str, typed)) if isinstance(typed, list | tuple) else (),
        run=run,
        settings={} if run is None else settings_of(run),
    )


def _finished(folder: Path) -> tuple[Run | None, str]:
    """A finished run, or None and what is wrong with its results; each file of a thousand runs is read once."""
    try:
        return read_run(folder / RESULTS), ""
    except (OSError, ValueError, DataError) as error:
        return None, " ".join(str(error).split())


def changed(path: Path) -> float:
    """When a file was changed last, in seconds since 1970; 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _name(folder: Path, root: Path) -> str:
    above = folder.parent
    return above.relative_to(root).as_posix() if above != root and above.is_relative_to(root) else above.name


def differing(listed: Iterable[ListedRun]) -> dict[Path, dict[str, str]]:
    """What distinguishes each run from the others of its name, by short keys: settings if it is finished, or overrides.

    Args:
        listed: the runs.
    """
    groups: dict[str, list[ListedRun]] = {}
    for one in listed:
        groups.setdefault(one.name, []).append(one)
    return {folder: told for group in groups.values() for folder, told in _within(group)}


def _within(group: list[ListedRun]) -> Iterator[tuple[Path, dict[str, str]]]:
    finished = [one.run for one in group if one.run is not None]
    params = swept_params(finished)
    labels = param_labels(params, finished)
    seeds = [key for key in replicate_keys(finished) if len({one.settings.get(key) for one in group if one.run}) > 1]
    keys = {**labels, **{key: short_key(key, [*params, *seeds]) for key in seeds}}
    common = set.intersection(*(set(one.overrides) for one in group)) if len(group) > 1 else set()
    for one in group:
        if one.run is not None and keys:
            yield one.folder, {label: show_value(one.settings.get(key, ABSENT)) for key, label in keys.items()}
        else:
            words = [word.lstrip("+~").partition("=") for word in one.overrides if word not in common]
            typed = [key for key, _, _ in words]
            yield one.folder, {short_key(key, typed): value for key, _, value in words}
