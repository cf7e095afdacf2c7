"""The summary after a sweep: a table of its results, the failed jobs with reasons, and the number of jobs by state."""

import os
import shlex
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from tandem.errors import DataError
from tandem.jobs.hydra_files import remember_run, remember_sweep
from tandem.jobs.status import REFUSED, STATUS, SWEEP_VARIABLE, read_status
from tandem.utils.artifacts import RESULTS
from tandem.utils.commands import spelled
from tandem.utils.digests import read_artifact
from tandem.utils.files import from_here

if TYPE_CHECKING:
    from tandem.reports.sweep_table import JobRow


class SweepSummary(Callback):
    """Hydra callback: prints after a multirun which jobs failed and why, and then exits with code 1.

    Attributes:
        folders: of the jobs, set by the launcher; they can be anywhere if `runs` itself is swept.
        elsewhere: a line for each job that another process runs.
        not_started: number of jobs that were not started after a failure.
    """

    def __init__(self) -> None:
        self.folders: set[Path] = set()
        self.elsewhere: list[str] = []
        self.not_started = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Gives this sweep an identity, which distinguishes its jobs from those of earlier launches."""
        os.environ[SWEEP_VARIABLE] = uuid.uuid4().hex
        remember_sweep(config)

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remembers the files of a run, whose folder Hydra writes into before the job can refuse it."""
        remember_run(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Prints the summary.

        Raises:
            SystemExit: a job has no results from this sweep. Hydra would ignore any other exception.
        """
        # a launcher of another package does not set the folders
        if not self.print_summary(self.folders or [Path(config.hydra.sweep.dir), Path(config.runs)]):
            raise SystemExit(1)

    def print_summary(self, folders: Iterable[Path]) -> bool:
        """Prints the summary, once; returns whether every job has finished.

        Args:
            folders: where to look for the jobs' folders, at any depth.
        """
        from rich.console import Console

        from tandem.reports.sweep_table import print_sweep
        from tandem.utils.console import escape

        sweep = os.environ.pop(SWEEP_VARIABLE, "")
        judged = [_judged(folder, status) for folder, status in sweep_jobs(folders, sweep)]
        jobs = [(folder, status) for folder, status, _ in judged]
        print_sweep([row for _, _, row in judged if row is not None], Console())
        console = Console(stderr=True, soft_wrap=True)
        states = Counter({"finished": 0, "failed": 0})  # always shown
        for folder, status in jobs:
            state = "failed" if status["state"] == "running" else status["state"]
            states[state] += 1
            if state != "finished":
                reason = status.get("error", f"still marked '{status['state']}': it was killed")
                typed = " ".join(status["overrides"]) or "no overrides"
                place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
                line = f"[red]{state}[/] {escape(str(place))} ({escape(typed)}): {escape(reason)}"
                console.print(line, highlight=False)
        for line in self.elsewhere:
            console.print(f"[yellow]running elsewhere[/] {escape(line)}", highlight=False)
        states["running elsewhere"] += len(self.elsewhere)
        states["not started"] += self.not_started
        counts = [f"{count} {state}" for state, count in states.items() if count or state in ("finished", "failed")]
        console.print(f"sweep: {', '.join(counts)}", highlight=False)
        if places := dict.fromkeys(from_here(folder.parent) for folder, one in jobs if one["state"] == "finished"):
            following = f"next: {spelled('study')} {shlex.join(places)}"
            Console(soft_wrap=True).print(following, highlight=False, markup=False)
        return states.total() == states["finished"]


def _judged(folder: Path, status: dict[str, Any]) -> "tuple[Path, dict[str, Any], JobRow | None]":
    """A job with its row of the table, if it has one; a job whose results are damaged has failed."""
    from tandem.reports.sweep_table import JobRow

    # a job that was refused may lie in the folder of another run, whose results are not its own
    if status["state"] != "finished" or not (folder / RESULTS).exists():
        return folder, status, None
    try:
        return folder, status, JobRow(status["overrides"], read_artifact(folder / RESULTS))
    except DataError as error:
        return folder, {**status, "state": "failed", "error": str(error)}, None


def sweep_jobs(folders: Iterable[Path], sweep: str) -> list[tuple[Path, dict[str, Any]]]:
    """The folder and status of each job of a sweep, by job number.

    Args:
        folders: where to look for job folders, at any depth; of two paths to one folder the later is returned.
        sweep: the identity given to the sweep when it started.
    """
    names = (STATUS, REFUSED)
    found = {path.resolve(): path for folder in folders for name in names for path in folder.rglob(name)}
    jobs = [(path.parent, read_status(path.parent, path.name)) for path in sorted(found.values())]
    members = [(folder, status) for folder, status in jobs if status.get("sweep") == sweep]
    return sorted(members, key=lambda member: member[1].get("job", 0))
