"""A job as text and numbers, and how it ended: told from what its process left, and written down for it."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.status import ERROR, STOPPED, read_status, write_status
from tandem.utils.artifacts import RESULTS
from tandem.utils.files import read_json, write_text

CONSOLE = "console.log"
"""What the process of a job prints, in the job's folder."""

BUSY = 75
"""Exit code (EX_TEMPFAIL of sysexits.h) of a job of a sweep that another process is running."""

CARRIED = ("TANDEM_", "PYTHON", "OMP_", "MKL_", "HF_", "HYDRA_", "WANDB_", "MLFLOW_", "TRACKIO_")
"""Beginnings of environment variables that follow a job to another machine."""


@dataclass(frozen=True)
class SweepJob:
    """What a process needs to run one job of a sweep; text and numbers only, so that it can be sent anywhere.

    Attributes:
        number: which job of its sweep this is.
        label: what tells it from the others, for people.
        overrides: what was typed for it.
        arguments: Python's own, that make it run this job alone.
        folder: the job's own, absolute.
        directory: the working directory.
        sweep: the sweep's identity.
        monitor: the logged name of the value that the job is after; empty where it has none.
        environment: variables for it, beside those of the process that starts it.
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
        reason: in one line; empty where it has finished.
        seconds: that its process ran.
    """

    state: str
    reason: str = ""
    seconds: float = 0.0


def conclude(job: SweepJob, code: int, seconds: float, why: str = "", minutes: float | None = None) -> JobOutcome:
    """How a job ended, from what its process left; written down where the process itself could not.

    Args:
        job: which.
        code: the process's exit code; -N where signal N ended it.
        seconds: that it ran.
        why: it was stopped: interrupted or timed out; empty where it was not.
        minutes: of the limit.
    """
    folder = Path(job.folder)
    status = read_status(folder)
    state = status.get("state") if (status.get("sweep"), status.get("job")) == (job.sweep, job.number) else None
    if state == "finished":
        return JobOutcome("finished", seconds=seconds)
    last = _tail(folder, 1)
    if code == BUSY:
        return JobOutcome("running elsewhere", last.removeprefix("error: "), seconds)
    if state == "failed" and not why:
        return JobOutcome("failed", str(status.get("error")), seconds)
    if why == "timed out":
        ending = JobOutcome(why, f"stopped after {minutes:g} minutes (timeout_min)", seconds)
    elif why or state == "interrupted":
        ending = JobOutcome("interrupted", STOPPED, seconds)
    elif code < 0:
        ending = JobOutcome("killed", _killed(-code), seconds)
    elif last.startswith("error: "):  # the job could not begin
        ending = JobOutcome("failed", last.removeprefix("error: "), seconds)
    else:
        ending = JobOutcome(
            "failed", f"its process ended with exit code {code}; it last said: {last or 'nothing'}", seconds
        )
    return note_ending(job, ending)


def note_ending(job: SweepJob, ending: JobOutcome) -> JobOutcome:
    """Writes an ending into the job's folder, with the last lines that it printed, unless another process runs it."""
    folder = Path(job.folder)
    try:
        with locked(folder):
            write_status(folder, ending.state, job.sweep, job.number, list(job.overrides), error=ending.reason)
            if ending.state != "interrupted":
                text = f"{ending.reason}\n\nThe last lines of {CONSOLE}:\n{_tail(folder, 40)}\n"
                write_text(folder / ERROR, text)
    except RunningElsewhere as error:
        return JobOutcome("running elsewhere", str(error), ending.seconds)
    return ending


def monitored(job: SweepJob) -> float | None:
    """The monitored value of a finished job; None where it has none."""
    file = Path(job.folder) / RESULTS
    value = read_json(file).get("metrics", {}).get(job.monitor) if file.exists() else None
    return None if value is None else float(value)


def _killed(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    likely = {
        signal.SIGKILL: ": by hand, or by the system for want of memory",
        signal.SIGSEGV: ": a library crashed",
        signal.SIGABRT: ": a library gave up",
    }
    return f"killed by {name}{likely.get(number, '')}"  # type: ignore[call-overload]


def _tail(folder: Path, lines: int) -> str:
    """The last lines that a job printed, of the last 64 KiB."""
    if not (folder / CONSOLE).exists():
        return ""
    with (folder / CONSOLE).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16))
        text = file.read().decode(errors="replace")
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])
