"""Finds runs below folders, by name, state and options."""

import glob
import logging
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError, DataError
from tandem.jobs.status import STATUS
from tandem.python.html import page, table
from tandem.python.run import Run
from tandem.python.table import Table
from tandem.reports.table import headline
from tandem.runs.folders import FINISHED, UNREADABLE, is_run
from tandem.study.run_filter import has_setting, split_filter
from tandem.study.settings import flat_settings
from tandem.study.swept_params import show_value
from tandem.utils.artifacts import RESULTS
from tandem.utils.walk import files_named

log = logging.getLogger(__name__)


class Runs(Sequence[Run]):
    """Runs in the order of their folders; a notebook shows them as a table.

    Args:
        runs: the runs.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = tuple(runs)

    def __getitem__(self, index: Any) -> Any:
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        return f"<Runs: {', '.join(map(repr, self._runs)) or 'none'}>"

    def table(self, *metrics: str) -> Table:
        """Folder, state, what was typed, and metrics of each run, as columns.

        Args:
            metrics: logged names, such as `val/segmentation/dice`; by default the monitored value of each run, and
                the headline metric of each task on validation data.
        """
        states = [run.state.state for run in self]
        known = [run for run, state in zip(self, states, strict=True) if state == FINISHED]
        found = [run.metrics if run in known else {} for run in self]
        names = metrics or tuple(dict.fromkeys(name for run in known for name in _shown(run)))
        columns: dict[str, Sequence[Any]] = {
            "run": [f"{run.folder.parent.name}/{run.folder.name}" for run in self],
            "state": states,
            "overrides": [" ".join(run.overrides) for run in self],
        }
        return Table({**columns, **{name: [one.get(name, float("nan")) for one in found] for name in names}}, "runs")

    def _repr_html_(self) -> str:
        shown = self.table()
        return page(f"{len(self)} runs", table(list(shown), [list(row.values()) for row in shown.rows()]))


def find_runs(
    folders: str | Path | Sequence[str | Path] = "runs",
    name: str | None = None,
    state: str | None = FINISHED,
    where: Sequence[str] | Mapping[str, Any] = (),
) -> Runs:
    """Implements `tandem.find_runs`, its public name."""
    wanted = _read(where)
    found: dict[Path, Path] = {}
    for folder in _folders([folders] if isinstance(folders, str | Path) else folders):
        for path in files_named(folder, RESULTS, STATUS):
            if is_run(path.parent):
                found.setdefault(path.parent.resolve(), path.parent)
    runs = (Run(place) for place in sorted(found.values()))
    return Runs([run for run in runs if _fits(run, name, state, wanted)])


def _folders(given: Sequence[str | Path]) -> Iterator[Path]:
    for entry in given:
        pattern = str(Path(entry).expanduser())
        matched = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207 (absolute ones too)
        folders = [path for path in matched if path.is_dir()]
        if not folders:
            raise ConfigError(f"there is no folder '{entry}'; give a folder of runs, such as runs, or runs/focal_*")
        yield from folders


def _read(where: Sequence[str] | Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Accepted values by dotted key, from `key=value` as one types them, or from a dict."""
    if isinstance(where, Mapping):
        return {key: (show_value(_plain(value)),) for key, value in where.items()}
    words = [where] if isinstance(where, str) else list(where)
    if unread := [word for word in words if not word.partition("=")[1]]:
        raise ConfigError(f"'{unread[0]}' is no filter; write key=value, such as seed=0 or data=busi")
    return dict(map(split_filter, words))


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _fits(run: Run, name: str | None, state: str | None, wanted: Mapping[str, tuple[str, ...]]) -> bool:
    kept = run.state
    found = kept.state
    if state is not None and found != state:
        if found == UNREADABLE:
            log.warning("left out: %s is unreadable: %s", run.folder, kept.reason)
        return False
    try:
        if name is not None and not fnmatchcase(run.name if found == FINISHED else run.folder.parent.name, name):
            return False
        config = run.config if wanted and found == FINISHED else {}
        settings = flat_settings(config, list(config["tasks"])) if config else {}
        return all(has_setting(key, values, run.overrides, settings, config) for key, values in wanted.items())
    except DataError as error:  # one damaged run hides no other
        log.warning("left out: %s", error)
        return False


def _shown(run: Run) -> Iterator[str]:
    yield str(run.results["monitor"])
    for task in run.config["tasks"]:
        if metric := headline(run.results["metrics"], task):
            yield f"val/{task}/{metric}"
