"""Jobs in processes of this machine, some at a time."""

import logging
from collections.abc import Mapping, Sequence

from tandem.jobs.launcher_options import thread_variables
from tandem.jobs.outcome import SweepJob
from tandem.jobs.pool import Outcomes, pool
from tandem.jobs.process import Child

log = logging.getLogger(__name__)


def run_local(
    jobs: Sequence[SweepJob],
    n_jobs: int,
    threads: int | None,
    timeout_min: float | None,
    devices: Sequence[int | str] | None,
    keep_going: bool,
) -> Outcomes:
    """Runs each job in a process of its own.

    Args:
        jobs: in their order.
        n_jobs: how many at a time.
        threads: of each; None: a fair share of the cores.
        timeout_min: minutes after which a job is stopped; None: no limit.
        devices: GPUs that are dealt out, one to each running job; None: each sees all.
        keep_going: whether others are started after one has failed.
    """
    threads_of_each = thread_variables(threads, n_jobs)
    seats: list[Child | None] = [None] * n_jobs

    def start(job: SweepJob) -> Child:
        # a seat is free where nobody sat, or whose job's process has gone
        seat = next(index for index, child in enumerate(seats) if child is None or child.process.poll() is not None)
        log.info("job %d starts: %s", job.number + 1, job.label)
        seats[seat] = child = Child(job, timeout_min, {**threads_of_each, **_device(devices, seat)})
        return child

    return pool(jobs, start, n_jobs, keep_going)


def _device(devices: Sequence[int | str] | None, seat: int) -> Mapping[str, str]:
    """The variable that shows a job one device; a job more than there are shares one."""
    return {} if devices is None else {"CUDA_VISIBLE_DEVICES": str(devices[seat % len(devices)])}
