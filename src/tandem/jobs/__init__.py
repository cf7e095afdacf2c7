"""Jobs of a sweep: state and lock in a job's folder, a process for each job, the summary after the sweep."""

from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.status import SWEEP_VARIABLE, one_line, read_status, run_job
from tandem.jobs.summary import SweepSummary, sweep_jobs

__all__ = [
    "SWEEP_VARIABLE",
    "RunningElsewhere",
    "SweepSummary",
    "locked",
    "one_line",
    "read_status",
    "run_job",
    "sweep_jobs",
]
