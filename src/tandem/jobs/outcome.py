"""A job of a sweep as text and numbers, and its outcome: read from what its process left, and written to its folder."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tandem.errors import DataError
from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.status import ERROR, STOPPED, status_of_job, write_status
from tandem.utils.artifacts import RESULTS
from tandem.utils.digests import read_artifact
from tandem.utils.files import write_text
from tandem.utils.signals import KILL

CONSOLE = "console.log"
"""The file in the job's folder with the output of its process."""

BUSY = 75
"""Exit code (EX_TEMPFAIL of sysexits.h) of a job of a sweep that another process is running."""

CARRIED = ("TANDEM_", "PYTHON", "OMP_", "MKL_", "HF_", "HYDRA_", "WANDB_", "MLFLOW_", "TRACKIO_")
"""Prefixes of the environment variables that a job takes to another machine."""


@dataclass(frozen=True)
class SweepJob:
    """What a process needs to run one job of a sweep; text and numbers only, so that it can be sent anywhere.

    Attributes:
        number: which job of its sweep this is.
        label: the overrides that differ between the jobs, for people.
        overrides: of this job.
        arguments: of Python, to run this job alone.
        folder: the job's own, absolute.
        directory: the working directory.
        sweep: the sweep's identity.
        monitor: logged name of the monitored value; empty if there is none.
        environment: variables, in addition to those of the process that starts it.
    """

    number: int
    label: str
    overrides: tuple[str, ...]
    arguments: tuple[str, ...]
    folder: str
    directory: str
    sweep: str
    monitor: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended.

    Attributes:
        state: finished, failed, interrupted, killed, timed out or running elsewhere.
        reason: in one line; of an earlier, finished job: why its data were not compared, or empty.
        seconds: run time of its process.
    """

    state: str
    reason: str = ""
    seconds: float = 0.0


def conclude(job: SweepJob, code: int, seconds: float, why: str = "", minutes: float | None = None) -> JobOutcome:
    """The outcome of a job whose process has ended; written to its folder if the process could not do so.

    Args:
        job: the job.
        code: exit code of the process; -N if signal N ended it.
        seconds: run time of the process.
        why: the reason for which it was stopped: interrupted or timed out; empty if it was not.
        minutes: the time limit.
    """
    folder = Path(job.folder)
    status = status_of_job(folder, job.sweep, job.number)
    state = status.get("state")
    if state == "finished":
        return JobOutcome("finished", seconds=seconds)
    last = _tail(folder, 1)
    if code == BUSY:
        return JobOutcome("running elsewhere", last.removeprefix("error: "), seconds)
    if state == "failed" and not why:
        return JobOutcome("failed", str(status.get("error")), seconds)
    if why == "timed out":
        outcome = JobOutcome(why, f"stopped after {minutes:g} minutes (timeout_min)", seconds)
    elif why or state == "interrupted":
        outcome = JobOutcome("interrupted", STOPPED, seconds)
    elif code < 0:
        outcome = JobOutcome("killed", _killed(-code), seconds)
    elif last.startswith("error: "):  # the job could not start
        outcome = JobOutcome("failed", last.removeprefix("error: "), seconds)
    else:
        outcome = JobOutcome(
            "failed", f"its process ended with exit code {code}; its last output: {last or 'none'}", seconds
        )
    return write_outcome(job, outcome)


def write_outcome(job: SweepJob, outcome: JobOutcome) -> JobOutcome:
    """Writes an outcome and the last lines of output to the job's folder, unless another process runs the job."""
    folder = Path(job.folder)
    try:
        with locked(folder):
            write_status(folder, outcome.state, job.sweep, job.number, list(job.overrides), error=outcome.reason)
            if outcome.state != "interrupted":
                text = f"{outcome.reason}\n\nThe last lines of {CONSOLE}:\n{_tail(folder, 40)}\n"
                write_text(folder / ERROR, text)
    except RunningElsewhere as error:
        return JobOutcome("running elsewhere", str(error), outcome.seconds)
    return outcome


def monitored(job: SweepJob) -> float | None:
    """The monitored value of a finished job; None if there is none, or if its results are damaged."""
    file = Path(job.folder) / RESULTS
    if status_of_job(file.parent, job.sweep, job.number).get("state") != "finished" or not file.exists():
        return None
    try:
        value = read_artifact(file).get("metrics", {}).get(job.monitor)
    except DataError:  # the summary names it
        return None
    return None if value is None else float(value)


def _killed(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    likely = {
        KILL: ": by hand, or by the system because memory ran out",
        signal.SIGSEGV: ": a library crashed",
        signal.SIGABRT: ": a library aborted",
    }
    return f"killed by {name}{likely.get(number, '')}"


def _tail(folder: Path, lines: int) -> str:
    """The last lines of a job's output, from its last 64 KiB."""
    if not (folder / CONSOLE).exists():
        return ""
    with (folder / CONSOLE).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16))
        text = file.read().decode(errors="replace")
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])
