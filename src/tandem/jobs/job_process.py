"""A sweep's job in a process of its own: started as a user would type it, and its outcome."""

from collections.abc import Mapping
from pathlib import Path

from tandem.distributed.world import world
from tandem.jobs.outcome import CONSOLE, JobOutcome, SweepJob, conclude
from tandem.jobs.process import start_process
from tandem.jobs.status import SWEEP_VARIABLE
from tandem.utils.machine import SHARED

FOLDER_VARIABLE = "TANDEM_FOLDER"
"""Environment variable with the folder that a sweep expects its job to have."""


class _JobProcess:
    """A running job. Private, so that no configuration can name it as a `_target_`; see `start_job`."""

    def __init__(self, job: SweepJob, minutes: float | None, environment: Mapping[str, str]) -> None:
        self.job, self.minutes, self.rank = job, minutes, world().rank
        variables = {
            SWEEP_VARIABLE: job.sweep,
            FOLDER_VARIABLE: job.folder,
            SHARED: "1",  # other jobs of the sweep may run beside it
            "PYTHONFAULTHANDLER": "1",  # a crash inside a library then leaves its traceback
            "PYTHONUNBUFFERED": "1",
        }
        folder = Path(job.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.process = start_process(
            job.arguments,
            {**job.environment, **environment, **variables},
            job.directory,
            folder / (f"{Path(CONSOLE).stem}.{self.rank}.log" if self.rank else CONSOLE),
            None if minutes is None else 60 * minutes,
        )

    def stop(self, why: str) -> None:
        """Begins to stop it; `ended` goes on with that."""
        self.process.stop(why)

    def ended(self) -> JobOutcome | None:
        """Its outcome; None while it runs. To be called again and again."""
        code = self.process.poll()
        return None if code is None else self._outcome(code)

    def wait(self) -> JobOutcome:
        """Waits for the end, and gives the outcome; an interrupted job is stopped, and its outcome written down."""
        try:
            return self._outcome(self.process.wait())
        except BaseException:
            self.ended()
            raise

    def _outcome(self, code: int) -> JobOutcome:
        if self.rank:  # one of several processes of the job: rank 0 writes how it ended
            return JobOutcome("failed" if code else "finished", seconds=self.process.seconds)
        return conclude(self.job, code, self.process.seconds, self.process.why, self.minutes)


def start_job(job: SweepJob, minutes: float | None = None, environment: Mapping[str, str] | None = None) -> _JobProcess:
    """Starts a job in a process of its own.

    Args:
        job: the job.
        minutes: after which it is stopped; None for no limit.
        environment: variables of this process alone, such as its device.
    """
    return _JobProcess(job, minutes, environment or {})


def run_in_process(job: SweepJob, minutes: float | None = None) -> JobOutcome:
    """Runs a job in a process of its own and waits for it: what a worker on any machine calls.

    Args:
        job: the job.
        minutes: after which it is stopped; None for no limit.
    """
    return start_job(job, minutes).wait()
