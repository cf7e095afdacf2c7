"""A job's state: a status file in its folder, and a traceback where it failed."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tandem.errors import TandemError
from tandem.jobs.lock import locked
from tandem.utils.files import read_json, write_json, write_text

SWEEP_VARIABLE = "TANDEM_SWEEP"
"""Environment variable that carries a sweep's identity to its jobs, in whichever process they run."""

STATUS, ERROR = "status.json", "error.txt"

STOPPED = "stopped; the same command goes on where it stopped"
"""What is said of an interrupted job."""


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
        RunningElsewhere: another process is running it; nothing was touched.
        KeyboardInterrupt: the user stopped it, be it that a library has made an exit of that.
        Exception: whatever the task raised, after it was written down.
    """
    with locked(folder):
        return _noted(task, config, folder, overrides, number)


def _noted(
    task: Callable[[DictConfig, Path], Any], config: DictConfig, folder: Path, overrides: list[str], number: int
) -> Any:
    sweep = os.environ.get(SWEEP_VARIABLE)

    def note(state: str, **more: Any) -> None:
        write_status(folder, state, sweep, number, overrides, **more)

    note("running", process=os.getpid())
    (folder / ERROR).unlink(missing_ok=True)
    try:
        result = task(config, folder)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        note("interrupted", error=STOPPED)
        raise KeyboardInterrupt from stop
    except Exception as error:
        write_text(folder / ERROR, traceback.format_exc())
        note("failed", error=one_line(error))
        raise
    note("finished")
    return result


def write_status(
    folder: Path, state: str, sweep: str | None, number: int, overrides: list[str], **more: str | int
) -> None:
    """Writes a job's status file.

    Args:
        folder: the job's own folder.
        state: running, finished, failed, interrupted, killed or timed out.
        sweep: the identity of its sweep.
        number: which job of its sweep this is.
        overrides: what was typed.
        more: the process while it runs, or the error in one line.
    """
    said = {"state": state, "sweep": sweep, "job": number, "overrides": overrides}
    write_json(folder / STATUS, {**said, **more})


def read_status(folder: Path) -> dict[str, Any]:
    """What a folder's status file says; nothing, if there is none, or it is another program's."""
    try:
        status = read_json(folder / STATUS)
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def one_line(error: BaseException) -> str:
    """An error as one line: the message alone where it was written for users, with its type otherwise."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TandemError) else f"{type(error).__name__}: {text}".removesuffix(": ")
