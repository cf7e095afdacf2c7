"""Runs jobs in processes of this machine."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing

from tandem.jobs.job_process import start_job
from tandem.jobs.launcher_options import thread_variables
from tandem.jobs.outcome import SweepJob
from tandem.jobs.pool import Outcomes, Running, pool

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
        n_jobs: number of jobs that run at the same time.
        threads: of each; None: an equal share of the cores.
        timeout_min: minutes after which a job is stopped; None: no limit.
        devices: GPUs, one for each running job; None: each job sees all.
        keep_going: whether to start further jobs after one has failed.
    """
    threads_of_each = thread_variables(threads, n_jobs)
    free = set(range(n_jobs))
    slots: dict[int, int] = {}

    def start(job: SweepJob) -> Running:
        slot = slots[job.number] = min(free)
        free.remove(slot)
        log.info("job %d starts: %s", job.number + 1, job.label)
        return start_job(job, timeout_min, {**threads_of_each, **_device(devices, slot)})

    with closing(pool(jobs, start, n_jobs, keep_going)) as outcomes:
        for job, outcome in outcomes:
            free.add(slots[job.number])
            yield job, outcome


def _device(devices: Sequence[int | str] | None, slot: int) -> Mapping[str, str]:
    """The variable that shows a job one device; with more slots than devices, jobs share a device."""
    return {} if devices is None else {"CUDA_VISIBLE_DEVICES": str(devices[slot % len(devices)])}
