"""A job in a process of its own: started as it would be typed, watched to its end, which is told honestly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tandem.jobs.outcome import CONSOLE, JobOutcome, SweepJob, conclude
from tandem.jobs.status import SWEEP_VARIABLE

PARENT_VARIABLE = "TANDEM_PARENT"
"""Environment variable that names the process that watches a job; the job does not outlive it."""

FOLDER_VARIABLE = "TANDEM_FOLDER"
"""Environment variable that names the folder that a sweep expects its job to have."""

STEPS = ((0, signal.SIGINT), (10, signal.SIGTERM), (15, signal.SIGKILL))
"""How a job is stopped: seconds after which it gets a signal, if it has not ended by then."""


def follow_parent() -> None:
    """In a job's process: ends it, as Ctrl-C would, when the process that watches it has gone."""
    parent = os.environ.pop(PARENT_VARIABLE, None)  # what the job itself starts is its own matter
    if parent is None:
        return
    # a shell's `&` ignores the signal, and some workers block it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
    if os.getppid() != int(parent):
        raise KeyboardInterrupt


class Child:
    """A running process of one job.

    Args:
        job: which.
        minutes: after which it is stopped; None for no limit.
        environment: variables of this process alone, such as its device.
    """

    def __init__(
        self, job: SweepJob, minutes: float | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
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

    def ended(self) -> JobOutcome | None:
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

    def wait(self) -> JobOutcome:
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


def run_in_process(job: SweepJob, minutes: float | None = None) -> JobOutcome:
    """Runs a job in a process of its own and waits for it: what a worker on any machine calls.

    Args:
        job: which.
        minutes: after which it is stopped; None for no limit.
    """
    return Child(job, minutes).wait()
