"""What became of a job: a status file in its folder, a traceback where it failed, a summary after a sweep."""

import os
import traceback
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from tandem.errors import TandemError
from tandem.files import read_json, write_json, write_text
from tandem.results import RESULTS

SWEEP_VARIABLE = "TANDEM_SWEEP"
"""Environment variable that carries a sweep's identity to its jobs, in whichever process they run."""


def run_job(
    task: Callable[[DictConfig, Path], Any], config: DictConfig, folder: Path, overrides: list[str], number: int = 0
) -> Any:
    """Runs one job and leaves `status.json` in its folder, and `error.txt` with the traceback where it failed.

    Args:
        task: called with the job's configuration and folder.
        config: the job's configuration.
        folder: the job's own folder.
        overrides: what was typed, for the summary.
        number: which job of its sweep this is.

    Returns:
        What the task returns.

    Raises:
        KeyboardInterrupt: the user stopped it, be it that a library has made an exit of that.
        Exception: whatever the task raised, after it was written down.
    """
    sweep = os.environ.get(SWEEP_VARIABLE)
    error_file = folder / "error.txt"

    def note(state: str, **more: Any) -> None:
        said = {"state": state, "sweep": sweep, "job": number, "overrides": overrides}
        write_json(folder / "status.json", {**said, **more})

    note("running", process=os.getpid())
    error_file.unlink(missing_ok=True)
    try:
        result = task(config, folder)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        note("interrupted")
        raise KeyboardInterrupt from stop
    except Exception as error:
        write_text(error_file, traceback.format_exc())
        note("failed", error=one_line(error))
        raise
    note("finished")
    return result


def one_line(error: BaseException) -> str:
    """An error as one line: the message alone where it was written for users, with its type otherwise."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TandemError) else f"{type(error).__name__}: {text}".removesuffix(": ")


class SweepSummary(Callback):
    """Hydra callback: says after a multirun which jobs failed and why, and then ends the process with exit code 1."""

    def __init__(self) -> None:
        self.folders: set[Path] = set()

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remembers a job's folder, which may lie anywhere if `runs` itself is swept."""
        self.folders.add(Path(config.hydra.runtime.output_dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Names this sweep, so that its jobs can be told from those of earlier launches."""
        os.environ[SWEEP_VARIABLE] = uuid.uuid4().hex

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Prints the summary.

        Raises:
            SystemExit: a job failed; an ordinary exception would be swallowed by Hydra.
        """
        from rich.console import Console
        from rich.markup import escape

        from tandem.reports.sweep_table import Job, print_sweep

        sweep = os.environ.pop(SWEEP_VARIABLE, "")
        # a swept name or experiment puts jobs beside the folder that the sweep as a whole would have
        jobs = sweep_jobs([*self.folders, Path(config.hydra.sweep.dir), Path(config.runs)], sweep)
        failed = [(folder, status) for folder, status in jobs if status["state"] != "finished"]
        finished = [(folder, status) for folder, status in jobs if (folder / RESULTS).exists()]
        print_sweep([Job(status["overrides"], read_json(folder / RESULTS)) for folder, status in finished], Console())
        console = Console(stderr=True, soft_wrap=True)
        for folder, status in failed:
            reason = status.get("error", f"still marked '{status['state']}': it was killed")
            typed = " ".join(status["overrides"]) or "no overrides"
            console.print(f"[red]failed[/] {escape(str(folder))} ({escape(typed)}): {escape(reason)}", highlight=False)
        console.print(f"sweep: {len(jobs) - len(failed)} finished, {len(failed)} failed", highlight=False)
        if failed:
            raise SystemExit(1)


def sweep_jobs(folders: Iterable[Path], sweep: str) -> list[tuple[Path, dict[str, Any]]]:
    """The folder and status of each job of one sweep, in their order.

    Args:
        folders: where to look for job folders, at any depth; of two ways to one folder the later is shown.
        sweep: the identity given to the sweep when it started.
    """
    found = {path.resolve(): path for folder in folders for path in folder.rglob("status.json")}
    jobs = [(path.parent, _status(path)) for path in sorted(found.values())]
    members = [(folder, status) for folder, status in jobs if status.get("sweep") == sweep]
    return sorted(members, key=lambda member: member[1].get("job", 0))


def _status(path: Path) -> dict[str, Any]:
    """What a status file says; nothing, if it is another program's."""
    try:
        status = read_json(path)
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}
