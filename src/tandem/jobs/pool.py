"""Starts jobs, a limited number at a time, and watches them until all have ended."""

import time
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from tandem.jobs.outcome import JobOutcome, SweepJob
from tandem.jobs.process import STEPS

PATIENCE = STEPS[-1][0] + 5.0
"""Seconds within which stopped jobs must end."""

POLL = 0.1
"""Seconds between two looks at running jobs."""


class Running(Protocol):
    """A job that was started."""

    def ended(self) -> JobOutcome | None:
        """Its outcome; None while it runs."""

    def stop(self, why: str) -> None:
        """Begins to stop it."""


Outcomes = Generator[tuple[SweepJob, JobOutcome]]
"""Each job with its outcome, in the order in which they end."""


def pool(
    jobs: Sequence[SweepJob], start: Callable[[SweepJob], Running], width: int | None, keep_going: bool = True
) -> Outcomes:
    """Starts jobs, a limited number at a time, until all have ended; stops them if it is interrupted.

    Args:
        jobs: in the order of their start.
        start: starts one.
        width: number of jobs that run at the same time; None: all.
        keep_going: whether to start further jobs after one has failed.
    """
    waiting: list[SweepJob] = list(jobs)
    running: list[tuple[SweepJob, Running]] = []
    try:
        while waiting or running:
            while waiting and (width is None or len(running) < width):
                running.append((waiting[0], start(waiting.pop(0))))
            time.sleep(POLL)
            for job, found in _ended(running):
                if found.state not in ("finished", "running elsewhere") and not keep_going:
                    waiting.clear()
                yield job, found
    except BaseException:
        for _, each in running:
            each.stop("interrupted")
        until = time.monotonic() + PATIENCE
        while running and time.monotonic() < until:
            time.sleep(POLL)
            list(_ended(running))
        raise


def _ended(running: list[tuple[SweepJob, Running]]) -> Outcomes:
    """Removes the jobs that have ended, and yields them."""
    for entry in list(running):
        if (outcome := entry[1].ended()) is not None:
            running.remove(entry)
            yield entry[0], outcome
