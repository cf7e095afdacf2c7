"""A job in a process of its own: started as it would be typed, watched to its end, which is told honestly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tandem.files import read_json, write_text
from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.status import ERROR, SWEEP_VARIABLE, read_status, write_status
from tandem.results import RESULTS

CONSOLE = "console.log"
"""What the process of a job prints, in the job's folder."""

PARENT_VARIABLE = "TANDEM_PARENT"
"""Environment variable that names the process that watches a job; the job does not outlive it."""

FOLDER_VARIABLE = "TANDEM_FOLDER"
"""Environment variable that names the folder that a sweep expects its job to have."""

BUSY = 75
"""Exit code (EX_TEMPFAIL of sysexits.h) of a job of a sweep that another process is running."""

STEPS = ((0, signal.SIGINT), (10, signal.SIGTERM), (15, signal.SIGKILL))
"""How a job is stopped: seconds after which it gets a signal, if it has not ended by then."""

CARRIED = ("TANDEM_", "PYTHON", "OMP_", "MKL_", "HF_", "HYDRA_", "WANDB_", "MLFLOW_", "TRACKIO_")
"""Beginnings of environment variables that follow a job to another machine."""


def follow_parent() -> None:
    """In a job's process: ends it, as Ctrl-C would, when the process that watches it has gone."""
    parent = os.environ.pop(PARENT_VARIABLE, None)  # what the job itself starts is its own matter
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the sweep was started with `&`
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
    if os.getppid() != int(parent):
        raise KeyboardInterrupt


@dataclass(frozen=True)
class Job:
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
class Ending:
    """How a job ended.

    Attributes:
        state: finished, failed, interrupted, killed, timed out or running elsewhere.
        reason: in one line; empty where it has finished.
        seconds: that its process ran.
    """

    state: str
    reason: str = ""
    seconds: float = 0.0


class Child:
    """A running process of one job.

    Args:
        job: which.
        minutes: after which it is stopped; None for no limit.
        environment: variables of this process alone, such as its device.
    """

    def __init__(self, job: Job, minutes: float | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.job = job
        self.minutes = minutes
        self.started = time.monotonic()
        self.why = ""
        self.stopping: float | None = None
        self.sent = 0
        told = {
            SWEEP_VARIABLE: job.sweep,
            PARENT_VARIABLE: str(os.getpid()),
            FOLDER_VARIABLE: job.folder,
            "PYTHONFAULTHANDLER": "1",  # a crash inside a library then leaves its traceback
            "PYTHONUNBUFFERED": "1",
        }
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        with (Path(job.folder) / CONSOLE).open("ab") as console:
            self.process = subprocess.Popen(  # noqa: S603  # our own command line
                [sys.executable, *job.arguments],
                cwd=job.directory,
                env={**os.environ, **job.environment, **(environment or {}), **told},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the sweep, which then stops its jobs in order
            )

    def stop(self, why: str) -> None:
        """Begins to stop it; `ended` goes on with that, from SIGINT to SIGKILL.

        Args:
            why: interrupted or timed out.
        """
        if self.stopping is None:
            self.why, self.stopping = why, time.monotonic()

    def ended(self) -> Ending | None:
        """How it ended; None while it runs. To be asked again and again."""
        code = self.process.poll()
        seconds = time.monotonic() - self.started
        if code is not None:
            self._signal(signal.SIGKILL)  # what it has left behind
            return conclude(self.job, code, seconds, self.why, self.minutes)
        if self.minutes is not None and seconds > 60 * self.minutes:
            self.stop("timed out")
        if self.stopping is not None:
            due = [number for after, number in STEPS if time.monotonic() - self.stopping >= after]
            for number in due[self.sent :]:
                self._signal(number)
            self.sent = len(due)
        return None

    def wait(self) -> Ending:
        """Waits for its end, and stops it where the waiting is cut."""
        try:
            while (ending := self.ended()) is None:
                time.sleep(0.1)
        except BaseException:
            self.stop("interrupted")
            while self.ended() is None:
                time.sleep(0.1)
            raise
        return ending

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):  # all of them have ended
            return


def run_in_process(job: Job, minutes: float | None = None) -> Ending:
    """Runs a job in a process of its own and waits for it: what a worker on any machine calls.

    Args:
        job: which.
        minutes: after which it is stopped; None for no limit.
    """
    return Child(job, minutes).wait()


def conclude(job: Job, code: int, seconds: float, why: str = "", minutes: float | None = None) -> Ending:
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
        return Ending("finished", seconds=seconds)
    last = _tail(folder, 1)
    if code == BUSY:
        return Ending("running elsewhere", last.removeprefix("error: "), seconds)
    if state == "failed" and not why:
        return Ending("failed", str(status.get("error")), seconds)
    if why == "timed out":
        ending = Ending(why, f"stopped after {minutes:g} minutes (timeout_min)", seconds)
    elif why or state == "interrupted":
        ending = Ending("interrupted", "stopped; the same command goes on where it stopped", seconds)
    elif code < 0:
        ending = Ending("killed", _killed(-code), seconds)
    elif last.startswith("error: "):  # the job could not begin
        ending = Ending("failed", last.removeprefix("error: "), seconds)
    else:
        ending = Ending(
            "failed", f"its process ended with exit code {code}; it last said: {last or 'nothing'}", seconds
        )
    return note_ending(job, ending)


def note_ending(job: Job, ending: Ending) -> Ending:
    """Writes an ending into the job's folder, with the last lines that it printed, unless another process runs it."""
    folder = Path(job.folder)
    try:
        with locked(folder):
            write_status(folder, ending.state, job.sweep, job.number, list(job.overrides), error=ending.reason)
            if ending.state != "interrupted":
                text = f"{ending.reason}\n\nThe last lines of {CONSOLE}:\n{_tail(folder, 40)}\n"
                write_text(folder / ERROR, text)
    except RunningElsewhere as error:
        return Ending("running elsewhere", str(error), ending.seconds)
    return ending


def monitored(job: Job) -> float | None:
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
