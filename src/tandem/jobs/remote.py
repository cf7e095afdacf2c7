"""Runs jobs with joblib, submitit (Slurm) or Ray. Each worker starts the job in a process of its own and watches it."""

import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError
from tandem.jobs.job_process import run_in_process
from tandem.jobs.launcher_options import thread_variables
from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.outcome import JobOutcome, SweepJob, write_outcome
from tandem.jobs.pool import PATIENCE, POLL, Outcomes, pool
from tandem.jobs.status import STOPPED, one_line, read_status


def run_joblib(jobs: Sequence[SweepJob], n_jobs: int, threads: int | None, timeout_min: float | None) -> Outcomes:
    """Runs the jobs with joblib's workers.

    Args:
        jobs: in their order.
        n_jobs: number of jobs that run at the same time.
        threads: of each; None: an equal share of the cores.
        timeout_min: minutes after which a job is stopped; None: no limit.
    """
    import joblib

    jobs = [_with(job, thread_variables(threads, n_jobs)) for job in jobs]
    left = {job.number: job for job in jobs}
    workers = joblib.Parallel(n_jobs=n_jobs, backend="loky", return_as="generator_unordered", pre_dispatch=n_jobs)
    try:
        for number, outcome in workers(joblib.delayed(_numbered)(job, timeout_min) for job in jobs):
            yield left.pop(number), outcome
    except KeyboardInterrupt:
        _wait_for(left.values())
        raise
    except Exception as error:  # a worker that is killed takes the others with it
        for job in left.values():
            yield job, lost(job, error)


def _numbered(job: SweepJob, minutes: float | None) -> tuple[int, JobOutcome]:
    return job.number, run_in_process(job, minutes)


class Resumable:
    """What submitit sends to its workers. It can put a job back into the queue, and the job then resumes."""

    def __call__(self, job: SweepJob) -> JobOutcome:
        """Runs the job."""
        return run_in_process(job)

    def checkpoint(self, job: SweepJob) -> Any:
        """The same job again: submitit calls this when Slurm preempts the job, or at the time limit."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


class _Submitted:
    """A job that was given to submitit."""

    def __init__(self, job: SweepJob, handle: Any, local: bool) -> None:
        self.job, self.handle, self.local, self.stopping = job, handle, local, False

    def stop(self, why: str) -> None:
        self.stopping = True
        process = _begun(self.job).get("process")
        if self.local and process:  # submitit's own cancel leaves tracebacks
            os.killpg(process, signal.SIGINT)
        else:
            self.handle.cancel(check=False)

    def ended(self) -> JobOutcome | None:
        if self.stopping:
            return _stopped(self.job)
        if not self.handle.done():
            return None
        try:
            outcome: JobOutcome = self.handle.result()
        except Exception as error:
            timed_out = "timed-out" in str(error)
            limit = JobOutcome("timed out", "stopped at the time limit (timeout_min)")
            return write_outcome(self.job, limit) if timed_out else lost(self.job, error)
        return outcome


def run_submitit(
    jobs: Sequence[SweepJob], cluster: str, n_jobs: int | None, folder: str, **parameters: Any
) -> Outcomes:
    """Runs the jobs with submitit: as one array of Slurm, or a limited number at a time on this machine.

    Args:
        jobs: in their order.
        cluster: local or slurm.
        n_jobs: number of jobs that run at the same time on this machine; None: all.
        folder: for submitit's own files.
        parameters: of submitit's executor.

    Raises:
        ConfigError: Slurm is not installed here.
    """
    import submitit

    retries = {f"{cluster}_max_num_timeout": parameters.pop("max_num_timeout")}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **retries)
    except RuntimeError as error:
        raise ConfigError(f"hydra/launcher=submitit_{cluster} must run on a Slurm login node: {error}") from error
    common = {"timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb"}
    named = {key if key in common else f"{cluster}_{key}": value for key, value in parameters.items()}
    executor.update_parameters(name="tandem", **{key: value for key, value in named.items() if value is not None})
    jobs = [_with(job, thread_variables(parameters["cpus_per_task"], 1)) for job in jobs]
    if cluster == "slurm":
        handles = dict(zip((job.number for job in jobs), executor.map_array(Resumable(), jobs), strict=True))
        return pool(jobs, lambda job: _Submitted(job, handles[job.number], local=False), None)
    return pool(jobs, lambda job: _Submitted(job, executor.submit(Resumable(), job), local=True), n_jobs)


class _Task:
    """A job that was given to Ray."""

    def __init__(self, job: SweepJob, reference: Any) -> None:
        self.job, self.reference, self.stopping = job, reference, False

    def stop(self, why: str) -> None:
        import ray

        self.stopping = True
        ray.cancel(self.reference)

    def ended(self) -> JobOutcome | None:
        import ray

        if self.stopping:
            return _stopped(self.job)
        if not ray.wait([self.reference], timeout=0)[0]:
            return None
        try:
            outcome: JobOutcome = ray.get(self.reference)
        except Exception as error:
            return lost(self.job, error)
        return outcome


def run_ray(
    jobs: Sequence[SweepJob],
    address: str | None,
    n_jobs: int | None,
    cpus: float,
    gpus: float,
    timeout_min: float | None,
    retries: int,
) -> Outcomes:
    """Runs the jobs as tasks of Ray.

    Args:
        jobs: in their order.
        address: of the cluster; `auto`: the cluster of this machine; None: Ray on this machine alone.
        n_jobs: number of jobs that run at the same time; None: limited by cores and GPUs only.
        cpus: cores of each.
        gpus: GPUs of each, which Ray sets in CUDA_VISIBLE_DEVICES; with 0.5, two jobs share one.
        timeout_min: minutes after which a job is stopped; None: no limit.
        retries: how often a job is restarted, and resumes, after its machine was lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no usage data
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="error", include_dashboard=None if address else False)
    # a new worker for each job, so that no job sees what another left in memory
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries, max_calls=1)(run_in_process)
    jobs = [_with(job, thread_variables(max(1, int(cpus)), 1)) for job in jobs]
    try:
        yield from pool(jobs, lambda job: _Task(job, task.remote(job, timeout_min)), n_jobs)
    finally:
        ray.shutdown()


def lost(job: SweepJob, error: BaseException) -> JobOutcome:
    """The outcome of a job whose worker was lost."""
    return write_outcome(job, JobOutcome("killed", f"its worker was lost: {one_line(error)}"[:500]))


def _with(job: SweepJob, variables: Mapping[str, str]) -> SweepJob:
    return replace(job, environment={**job.environment, **variables})


def _begun(job: SweepJob) -> dict[str, Any]:
    """The status of a running job; empty if this sweep did not start it, or if it has ended."""
    status = read_status(Path(job.folder))
    return status if (status.get("sweep"), status.get("state")) == (job.sweep, "running") else {}


def _stopped(job: SweepJob) -> JobOutcome | None:
    """The outcome of a job that is being stopped; None while its process holds the lock of its folder."""
    try:
        with locked(Path(job.folder)):
            pass
    except RunningElsewhere:
        return None
    outcome = JobOutcome("interrupted", STOPPED)
    return write_outcome(job, outcome) if _begun(job) else outcome


def _wait_for(jobs: Iterable[SweepJob]) -> None:
    """Waits until stopped jobs have released the locks of their folders, at most `PATIENCE`."""
    until = time.monotonic() + PATIENCE
    waiting = list(jobs)
    while waiting and time.monotonic() < until:
        waiting = [job for job in waiting if _stopped(job) is None]
        time.sleep(POLL)
