"""Runs jobs with submitit (Slurm) or Ray. Each worker starts the job in a process of its own and watches it."""

import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError
from tandem.jobs.job_process import run_in_process, start_job
from tandem.jobs.launcher_options import thread_variables
from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.outcome import JobOutcome, SweepJob, write_outcome
from tandem.jobs.pool import PATIENCE, POLL, Outcomes, Running, pool
from tandem.jobs.queue import queued_before, remember, still_queued
from tandem.jobs.status import STOPPED, one_line, read_status

log = logging.getLogger(__name__)


class Resumable:
    """What submitit sends to its workers. It can put a job back into the queue, and the job then resumes."""

    def __call__(self, job: SweepJob) -> JobOutcome:
        """Runs the job."""
        self.running = start_job(job)
        return self.running.wait()

    def checkpoint(self, job: SweepJob) -> Any:
        """The same job again: submitit calls this when Slurm preempts the job, or before the time limit.

        The job's process is stopped first, and saves where it is.
        """
        from submitit.helpers import DelayedSubmission

        self.running.stop("interrupted")
        until = time.monotonic() + PATIENCE
        while self.running.ended() is None and time.monotonic() < until:
            time.sleep(POLL)
        return DelayedSubmission(Resumable(), job)


class _Submitted:
    """A job that was given to submitit.

    Args:
        job: the job.
        handle: submitit's.
        local: whether it runs on this machine.
        earlier: whether an earlier launch has given it to Slurm, in the name of another sweep.
    """

    def __init__(self, job: SweepJob, handle: Any, local: bool, earlier: bool = False) -> None:
        self.job, self.handle, self.local, self.stopping = job, handle, local, False
        self.earlier = earlier

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
        file = self.handle.paths.result_pickle
        if not file.exists() and (not self.handle.done() if self.local else still_queued(self.handle.job_id)):
            return None
        try:
            outcome: JobOutcome = self.handle.result() if self.local else _result(self.handle, file)
        except Exception as error:
            if read_status(Path(self.job.folder)).get("state") == "interrupted":  # by scancel
                return JobOutcome("interrupted", STOPPED)
            timed_out = "timed-out" in str(error) or "timed out" in str(error)
            limit = JobOutcome("timed out", "stopped at the time limit (timeout_min)")
            return write_outcome(self.job, limit) if timed_out else lost(self.job, error)
        return write_outcome(self.job, outcome) if self.earlier and outcome.state != "running elsewhere" else outcome


def _result(handle: Any, file: Path) -> JobOutcome:
    """What the job's first process has returned.

    Raises:
        RuntimeError: it has failed, or left nothing.
    """
    from submitit.core.utils import pickle_load

    if not file.exists():
        raise RuntimeError(f"job {handle.job_id} of Slurm has left the queue without a result; its log: {file.parent}")
    word, value = pickle_load(file)
    if word != "success":
        raise RuntimeError(str(value).strip().splitlines()[-1])
    outcome: JobOutcome = value
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
    common = {"timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "nodes", "tasks_per_node"}
    named = {key if key in common else f"{cluster}_{key}": value for key, value in parameters.items()}
    executor.update_parameters(name="tandem", **{key: value for key, value in named.items() if value is not None})
    jobs = [_with(job, thread_variables(parameters["cpus_per_task"], 1)) for job in jobs]
    if cluster == "slurm":
        return pool(jobs, _submit(executor, jobs).__getitem__, None)
    return pool(jobs, lambda job: _Submitted(job, executor.submit(Resumable(), job), local=True), n_jobs)


def _submit(executor: Any, jobs: Sequence[SweepJob]) -> "_Handles":
    """Queues the jobs as one array, without those that an earlier launch has queued, which are waited for."""
    import submitit

    before = queued_before(jobs)
    if before:
        log.info("%d of the jobs still in Slurm's queue: not queued again", len(before))
    new = [job for job in jobs if job.number not in before]
    handles = dict(zip((job.number for job in new), executor.map_array(Resumable(), new) if new else (), strict=True))
    for job in new:
        remember(job, handles[job.number].job_id)
    earlier = {number: submitit.SlurmJob(executor.folder, job_id=name) for number, name in before.items()}
    return _Handles({**handles, **earlier}, set(before))


class _Handles:
    def __init__(self, handles: Mapping[int, Any], earlier: set[int]) -> None:
        self.handles, self.earlier = handles, earlier

    def __getitem__(self, job: SweepJob) -> Running:
        return _Submitted(job, self.handles[job.number], local=False, earlier=job.number in self.earlier)


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
