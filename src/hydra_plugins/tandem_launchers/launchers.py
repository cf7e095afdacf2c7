"""The launchers themselves. They differ in who starts a job; what a job is and how it ends is the same for all.

Hydra imports this module at each start, so nothing heavy is imported at its top.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from tandem.jobs.outcome import SweepJob
    from tandem.jobs.pool import Outcomes


class InProcess(Launcher):
    """One job after the other in this process: `hydra/launcher=basic`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives a launcher."""
        from tandem.jobs.sweep import Sweep

        self.sweep = Sweep(hydra_context, config, task_function)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs."""
        return self.sweep.launch_here(job_overrides, initial_job_idx)


class _JobProcesses(InProcess):
    """What the other launchers share: jobs that are not finished get a process each, and are told of as they end.

    Args:
        knobs: of the launcher, as its configuration has them.
    """

    def __init__(self, **knobs: Any) -> None:
        self.knobs: dict[str, Any] = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in knobs.items()
        }

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs.

        Raises:
            ConfigError: a knob that cannot work, a library that is not there, before a job was started.
        """
        self.prepare()
        return self.sweep.launch(job_overrides, initial_job_idx, self.width(), self.run)

    def prepare(self) -> None:
        """Checks the knobs, and loads what the launcher needs."""
        from tandem.errors import ConfigError
        from tandem.jobs.launcher_options import check

        check(self.knobs)
        if getattr(self.sweep.task, "command", None) is None:
            raise ConfigError("this command runs its jobs in its own process; choose hydra/launcher=basic")

    def width(self) -> int | None:
        """How many jobs run at a time; None: all."""
        width: int | None = self.knobs["n_jobs"]
        return width

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Hands the jobs out, and gives each with its ending."""
        raise NotImplementedError


class Processes(_JobProcesses):
    """Processes on this machine: `hydra/launcher=processes`."""

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Starts processes, some at a time."""
        from tandem.jobs.local import run_local

        return run_local(jobs, **self.knobs)


class Joblib(_JobProcesses):
    """Workers of joblib: `hydra/launcher=joblib`."""

    def prepare(self) -> None:
        """Checks the knobs, and loads joblib."""
        from tandem.utils.optional import load

        super().prepare()
        load("joblib", "joblib", "hydra/launcher=joblib")

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Gives the jobs to joblib's workers."""
        from tandem.jobs.remote import run_joblib

        return run_joblib(jobs, **self.knobs)


class SubmititLocal(_JobProcesses):
    """Submitit on this machine: `hydra/launcher=submitit_local`."""

    executor = "local"

    def prepare(self) -> None:
        """Checks the knobs, and loads submitit."""
        from tandem.utils.optional import load

        super().prepare()
        load("submitit", "submitit", f"hydra/launcher=submitit_{self.executor}")

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Gives the jobs to submitit's executor."""
        from tandem.jobs.remote import run_submitit

        return run_submitit(jobs, self.executor, **self.knobs)


class SubmititSlurm(SubmititLocal):
    """Slurm through submitit: `hydra/launcher=submitit_slurm`."""

    executor = "slurm"


class Ray(_JobProcesses):
    """Tasks of a Ray cluster, or of Ray on this machine: `hydra/launcher=ray`."""

    def prepare(self) -> None:
        """Checks the knobs, and loads Ray."""
        from tandem.utils.optional import load

        super().prepare()
        load("ray", "ray", "hydra/launcher=ray")

    def run(self, jobs: "list[SweepJob]") -> "Outcomes":
        """Gives the jobs to Ray."""
        from tandem.jobs.remote import run_ray

        return run_ray(jobs, **self.knobs)
