"""What a sweep says in its end: a table of what was swept, what failed and why, and counts of states."""

import os
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from tandem.jobs.status import SWEEP_VARIABLE, read_status
from tandem.utils.artifacts import RESULTS
from tandem.utils.files import read_json


class SweepSummary(Callback):
    """Hydra callback: says after a multirun which jobs failed and why, and then ends the process with exit code 1.

    Attributes:
        folders: of the jobs, as the launcher tells; they may lie anywhere if `runs` itself is swept.
        elsewhere: of each job that another process is running, the line that says so.
        not_started: how many jobs were left out after a failure.
    """

    def __init__(self) -> None:
        self.folders: set[Path] = set()
        self.elsewhere: list[str] = []
        self.not_started = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Names this sweep, so that its jobs can be told from those of earlier launches."""
        os.environ[SWEEP_VARIABLE] = uuid.uuid4().hex

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Prints the summary.

        Raises:
            SystemExit: a job has no results from this sweep; an ordinary exception would be swallowed by Hydra.
        """
        # a launcher of the user's own tells no folders
        if not self.tell(self.folders or [Path(config.hydra.sweep.dir), Path(config.runs)]):
            raise SystemExit(1)

    def tell(self, folders: Iterable[Path]) -> bool:
        """Prints the summary, once; gives whether every job has finished.

        Args:
            folders: where to look for the jobs' folders, at any depth.
        """
        from rich.console import Console

        from tandem.reports.sweep_table import JobRow, print_sweep
        from tandem.utils.console import escape

        sweep = os.environ.pop(SWEEP_VARIABLE, "")
        jobs = sweep_jobs(folders, sweep)
        done = [(folder, status) for folder, status in jobs if (folder / RESULTS).exists()]
        print_sweep([JobRow(status["overrides"], read_json(folder / RESULTS)) for folder, status in done], Console())
        console = Console(stderr=True, soft_wrap=True)
        states = Counter({"finished": 0, "failed": 0})  # these two are always told
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
        return states.total() == states["finished"]


def sweep_jobs(folders: Iterable[Path], sweep: str) -> list[tuple[Path, dict[str, Any]]]:
    """The folder and status of each job of one sweep, in their order.

    Args:
        folders: where to look for job folders, at any depth; of two ways to one folder the later is shown.
        sweep: the identity given to the sweep when it started.
    """
    found = {path.resolve(): path for folder in folders for path in folder.rglob("status.json")}
    jobs = [(path.parent, read_status(path.parent)) for path in sorted(found.values())]
    members = [(folder, status) for folder, status in jobs if status.get("sweep") == sweep]
    return sorted(members, key=lambda member: member[1].get("job", 0))
