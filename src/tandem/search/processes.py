"""Further processes of one search: the same command again, each of which takes trials until there are enough."""

import logging
import os
import signal
import subprocess
import sys
import time

from tandem.jobs.process import PARENT_VARIABLE

log = logging.getLogger(__name__)

SINCE = "TANDEM_SEARCH_SINCE"
"""Environment variable that tells a process that it is a further one, and which trials are of an earlier launch."""

LOOK = 0.2
"""Seconds between two looks at the processes."""

STEPS = ((0, signal.SIGINT), (10, signal.SIGINT), (20, signal.SIGKILL))
"""How a process is stopped after Ctrl-C: seconds after which it gets a signal, if it has not put its trial back by
then. Python can lose the first one; the trial of a killed process is taken up all the same."""

AGAIN = 3
"""So many killed processes are replaced for each that was asked for."""


def run_processes(count: int, since: int) -> bool:
    """Starts processes and waits until all have ended; one that is killed is replaced by another.

    Args:
        count: of processes.
        since: see `Trials.claim`.

    Returns:
        Whether none of them ended with an error of its own.

    Raises:
        KeyboardInterrupt: the user stopped it; the processes have put their trials back.
    """
    running = [_start(count, since) for _ in range(count)]
    spare, well = AGAIN * count, True
    try:
        while running:
            time.sleep(LOOK)
            ended = [process for process in running if process.poll() is not None]
            running = [process for process in running if process not in ended]
            for process in ended:
                well = well and process.returncode <= 0
                if process.returncode < 0 and spare:
                    spare -= 1
                    name = signal.Signals(-process.returncode).name
                    log.info("a process was killed (%s; out of memory?); another takes its place", name)
                    running.append(_start(count, since))
    except KeyboardInterrupt:
        _stop(running)
        raise
    return well


def _start(count: int, since: int) -> "subprocess.Popen[bytes]":
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = {SINCE: str(since), PARENT_VARIABLE: str(os.getpid())}
    variables = {"OMP_NUM_THREADS": str(max(1, cores // count)), **os.environ, **told}
    # a group of its own: Ctrl-C in a terminal goes to whole groups, and would come twice
    return subprocess.Popen(  # noqa: S603 (the user's own command)
        [sys.executable, "-m", "tandem.search", *sys.argv[1:]], env=variables, process_group=0
    )


def _stop(running: "list[subprocess.Popen[bytes]]") -> None:
    started = time.monotonic()
    for after, number in STEPS:
        while time.monotonic() - started < after and _alive(running):
            time.sleep(LOOK)
        for process in _alive(running):
            process.send_signal(number)
    for process in running:
        process.wait()


def _alive(running: "list[subprocess.Popen[bytes]]") -> "list[subprocess.Popen[bytes]]":
    return [process for process in running if process.poll() is None]
