"""A job's state: a status file in its folder, and the traceback if it failed."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tandem.distributed.world import joined
from tandem.errors import ConfigError, DataError, TandemError
from tandem.jobs.hydra_files import put_back
from tandem.jobs.lock import locked
from tandem.utils.artifacts import RESULTS
from tandem.utils.files import read_json, write_json, write_text
from tandem.utils.signals import interruption

SWEEP_VARIABLE = "TANDEM_SWEEP"
"""Environment variable with a sweep's identity, for its jobs in any process."""

STATUS, ERROR = "status.json", "error.txt"

REFUSED = "refused.json"
"""Status of a job that was refused in the folder of a finished run, whose own status stays."""

STOPPED = "stopped; rerun the same command to resume"
"""The reason that is recorded for an interrupted job."""


def run_job(
    task: Callable[[DictConfig, Path], Any], config: DictConfig, folder: Path, overrides: list[str], number: int = 0
) -> Any:
    """Runs one job and writes `status.json` to its folder, and `error.txt` with the traceback if it failed.

    Args:
        task: called with the job's configuration and folder.
        config: the job's configuration.
        folder: the job's own folder.
        overrides: of this job, for the summary.
        number: of the job in its sweep.

    Returns:
        What the task returns.

    Raises:
        RunningElsewhere: another process runs this job; nothing was changed.
        KeyboardInterrupt: the user or a signal stopped it, even if a library turned that into an exit.
        Exception: whatever the task raised, after it was recorded.
    """
    with joined(config.get("trainer") or {}) as here:
        if here.rank:  # rank 0 has the lock, the status and the log
            return task(config, folder)
        with locked(folder):
            return _run_recorded(task, config, folder, overrides, number)


def _run_recorded(
    task: Callable[[DictConfig, Path], Any], config: DictConfig, folder: Path, overrides: list[str], number: int
) -> Any:
    sweep = os.environ.get(SWEEP_VARIABLE)
    before = read_status(folder) if (folder / RESULTS).exists() else {}

    def note(state: str, **more: Any) -> None:
        write_status(folder, state, sweep, number, overrides, **more)

    note("running", process=os.getpid())
    (folder / ERROR).unlink(missing_ok=True)
    (folder / REFUSED).unlink(missing_ok=True)
    try:
        result = task(config, folder)
    except (KeyboardInterrupt, SystemExit) as stop:
        if (interrupted := interruption(stop)) is None:
            raise
        note("interrupted", error=STOPPED)
        raise interrupted from None
    except Exception as error:
        if before and isinstance(error, ConfigError | DataError):  # the results are those of the run of before
            write_json(folder / STATUS, before)
            put_back(folder)
            write_json(folder / REFUSED, _status("failed", sweep, number, overrides) | {"error": one_line(error)})
            raise
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
        number: of the job in its sweep.
        overrides: of this job.
        more: the process while it runs, or the error in one line.
    """
    write_json(folder / STATUS, _status(state, sweep, number, overrides) | more)


def _status(state: str, sweep: str | None, number: int, overrides: list[str]) -> dict[str, Any]:
    return {"state": state, "sweep": sweep, "job": number, "overrides": overrides}


def status_of_job(folder: Path, sweep: str | None, number: int) -> dict[str, Any]:
    """The status of one job of a sweep; empty if the folder holds only that of others.

    Args:
        folder: where the job ran, or was refused.
        sweep: the identity of the sweep.
        number: of the job.
    """
    found = (read_status(folder, REFUSED), read_status(folder))
    return next((status for status in found if (status.get("sweep"), status.get("job")) == (sweep, number)), {})


def read_status(folder: Path, name: str = STATUS) -> dict[str, Any]:
    """The content of a folder's status file; empty if there is none, or if another program wrote it."""
    try:
        status = read_json(folder / name)
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def one_line(error: BaseException) -> str:
    """An error as one line: the message of an error of tandem; type and message of any other."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TandemError) else f"{type(error).__name__}: {text}".removesuffix(": ")
