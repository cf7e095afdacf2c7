"""The launchers. They differ only in what starts a job.

Hydra imports this module at every start, so it imports heavy modules only when needed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from tandem.jobs.outcome import SweepJob
    from tandem.jobs.pool import Outcomes


class InProcess(Launcher):
    """Runs one job after the other in this process: `hydra/launcher=basic`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Stores what Hydra gives to a launcher."""
        from tandem.jobs.sweep import Sweep

        self.sweep = Sweep(hydra_context, config, task_function)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs."""
        return self.sweep.launch_here(job_overrides, initial_job_idx)


class _JobProcesses(InProcess):
    """Base of the other launchers: each unfinished job gets its own process.

    Args:
        options: of the launcher, as in its configuration.
    """

    def __init__(self, **options: Any) -> None:
        self.options: dict[str, Any] = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in options.items()
        }

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs.

        Raises:
            ConfigError: an option is invalid, or a library is not installed; no job was started.
        """
        self.prepare()
        return self.sweep.launch(job_overrides, initial_job_idx, self.width, self.run)

    def prepare(self) -> None:
        """Checks the options and imports what the launcher needs."""
        from tandem.errors import ConfigError
        from tandem.jobs.launcher_options import check

        check(self.options)
        if getattr(self.sweep.task, "command", None) is None:
            raise ConfigError("this command runs its jobs in its own process; choose hydra/launcher=basic")

    def width(self, jobs: "list[SweepJob]") -> int | None:
        """The number of jobs that run at the same time; None: all.

        Args:
            jobs: that are not finished; at least one.
        """
        width: int | None = self.options["n_jobs"]
        return width

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Starts the jobs, and yields each with its outcome."""
        raise NotImplementedError


class Processes(_JobProcesses):
    """Runs jobs in processes on this machine: `hydra/launcher=processes`."""

    def prepare(self) -> None:
        """Checks the options, `n_jobs=auto` too."""
        from tandem.jobs.launcher_options import check_measurable

        super().prepare()
        check_measurable(self.options, self.sweep.task.command)  # type: ignore[attr-defined]

    def width(self, jobs: "list[SweepJob]") -> int | None:
        """The number of jobs that run at the same time; `auto` is measured with the first job.

        Raises:
            ConfigError: the jobs do not train on a CPU, so that nothing can be measured.
        """
        from tandem.jobs.launcher_options import AUTO

        if self.options["n_jobs"] == AUTO:
            from tandem.train.performance.side_by_side import side_by_side

            first, threads = jobs[0], self.options["threads"]
            found = side_by_side(self.sweep.settings(first), len(jobs), threads, Path(first.folder).parent)
            self.options |= {"n_jobs": found.jobs, "threads": found.threads}
        return super().width(jobs)

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Starts a limited number of processes at a time."""
        from tandem.jobs.local import run_local

        return run_local(jobs, **self.options)


class SubmititLocal(_JobProcesses):
    """Runs jobs with submitit on this machine: `hydra/launcher=submitit_local`."""

    executor = "local"

    def prepare(self) -> None:
        """Checks the options and imports submitit."""
        from tandem.utils.optional import load

        super().prepare()
        load("submitit", "submitit", f"hydra/launcher=submitit_{self.executor}")

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Runs the jobs with submitit."""
        from tandem.jobs.remote import run_submitit

        return run_submitit(jobs, self.executor, **self.options)


class SubmititSlurm(SubmititLocal):
    """Runs jobs with submitit on Slurm: `hydra/launcher=submitit_slurm`."""

    executor = "slurm"


class Ray(_JobProcesses):
    """Runs jobs on a Ray cluster, or with Ray on this machine: `hydra/launcher=ray`."""

    def prepare(self) -> None:
        """Checks the options and imports Ray."""
        from tandem.utils.optional import load

        super().prepare()
        load("ray", "ray", "hydra/launcher=ray")

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Runs the jobs with Ray."""
        from tandem.jobs.remote import run_ray

        return run_ray(jobs, **self.options)
