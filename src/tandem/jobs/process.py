"""Child processes: each has its own session and environment, is stopped in steps, and does not outlive its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tandem.utils.signals import KILL, install

PARENT_VARIABLE = "TANDEM_PARENT"
"""Environment variable with the id of the process that supervises this one."""

Steps = Sequence[tuple[float, signal.Signals]]
"""How a process is stopped: seconds after which it gets a signal, if it is still running."""

STEPS: Steps = ((0, signal.SIGINT), (10, signal.SIGTERM), (15, KILL))
"""The default."""

POLL = 0.1
"""Seconds between two looks at a process."""


def follow_parent() -> None:
    """In a child process: interrupts it, as Ctrl-C does, when the process that supervises it ends."""
    parent = os.environ.pop(PARENT_VARIABLE, None)  # not for the processes that this one starts
    if parent is None:
        return
    # a shell's `&` ignores the signal, and some workers block it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    install()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
    if os.getppid() != int(parent):
        raise KeyboardInterrupt


class _Process:
    """A supervised child process. Private, so that no configuration can name it as a `_target_`; see `start_process`.

    Attributes:
        why: the reason that `stop` was given; empty if it was not called.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        directory: str | None,
        console: Path | None,
        limit: float | None,
        steps: Steps | None,
    ) -> None:
        self.why = ""
        self._limit, self._steps = limit, STEPS if steps is None else steps
        self._stopping: float | None = None
        self._sent = 0
        self._code: int | None = None
        self._started = time.monotonic()
        output = None if console is None else console.open("ab")
        try:
            self._popen = subprocess.Popen(  # noqa: S603  # our own command line
                [sys.executable, *arguments],
                cwd=directory,
                env={**os.environ, **variables, PARENT_VARIABLE: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the supervisor only, which then stops its children in order
            )
        finally:
            if output is not None:
                output.close()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def stop(self, why: str) -> None:
        """Begins to stop the process and all that it started; the calls of `poll` send the signals.

        Args:
            why: interrupted or timed out.
        """
        if self._stopping is None:
            self.why, self._stopping = why, time.monotonic()

    def poll(self) -> int | None:
        """The exit code, or -N if signal N ended the process; None while it runs. To be called again and again."""
        if self._code is not None:
            return self._code
        self._code = self._popen.poll()
        if self._code is not None:
            self._signal(KILL)  # what it has left behind
            return self._code
        if self._limit is not None and self.seconds > self._limit:
            self.stop("timed out")
        if self._stopping is not None:
            due = [number for after, number in self._steps if time.monotonic() - self._stopping >= after]
            for number in due[self._sent :]:
                self._signal(number)
            self._sent = len(due)
        return None

    def wait(self) -> int:
        """Waits for the end, and gives the exit code; stops the process if the waiting is interrupted."""
        try:
            while (code := self.poll()) is None:
                time.sleep(POLL)
        except BaseException:
            stop_processes([self])
            raise
        return code

    def _signal(self, number: signal.Signals) -> None:
        if not hasattr(os, "killpg"):  # Windows has no groups of processes, and knows only one way to end one
            self._popen.terminate()
            return
        try:
            os.killpg(self._popen.pid, number)
        except (ProcessLookupError, PermissionError):  # all of them have ended
            return


def start_process(
    arguments: Sequence[str],
    variables: Mapping[str, str] | None = None,
    directory: str | None = None,
    console: Path | None = None,
    limit: float | None = None,
    steps: Steps | None = None,
) -> _Process:
    """Starts a Python process. If it calls `follow_parent`, it does not outlive this one.

    Args:
        arguments: of Python, such as `["-m", "tandem.train", "seed=1"]`.
        variables: environment variables, in addition to those of this process.
        directory: its working directory; None: this process's.
        console: the file to which its output is appended; None: it prints where this process does.
        limit: seconds after which it is stopped; None: no limit.
        steps: how it is stopped; None: `STEPS`.
    """
    return _Process(arguments, variables or {}, directory, console, limit, steps)


def stop_processes(processes: Iterable[_Process], why: str = "interrupted") -> None:
    """Stops processes, all at a time, and returns when the last one has ended."""
    running = list(processes)
    for process in running:
        process.stop(why)
    while running := [process for process in running if process.poll() is None]:
        time.sleep(POLL)
