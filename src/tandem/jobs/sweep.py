"""The jobs of a sweep: composes them, skips those that are finished, and runs the others here or through a launcher."""

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from tandem.config.hydra_internals import JobComposer, check_directory, sweep_callbacks
from tandem.config.monitor import chosen_monitor
from tandem.config.places import stored_config
from tandem.config.resolve import resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError, DataError
from tandem.jobs.hydra_files import remember_job, remove_empty_sweep
from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.outcome import CARRIED, JobOutcome, SweepJob, monitored
from tandem.jobs.plan import write_plan
from tandem.jobs.pool import Outcomes
from tandem.jobs.progress import Progress, distinct
from tandem.jobs.status import ERROR, SWEEP_VARIABLE, status_of_job, write_status
from tandem.jobs.summary import SweepSummary
from tandem.utils.artifacts import RESULTS
from tandem.utils.digests import read_artifact

if TYPE_CHECKING:
    from tandem.data.unchanged import DataState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """What Hydra gives to a launcher.

    Attributes:
        context: has the loader of configurations and the callbacks.
        config: of the sweep.
        task: the function that runs a job; its `command` is the module that runs one job alone.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction

    def __post_init__(self) -> None:
        self.context.config_loader = cast(ConfigLoader, JobComposer(self.context.config_loader))

    def launch(
        self,
        overrides: Sequence[Sequence[str]],
        first: int,
        width: Callable[[list[SweepJob]], int | None],
        run: Callable[[list[SweepJob]], Outcomes],
    ) -> list[JobReturn]:
        """Runs the jobs that are not finished, and logs each outcome.

        Args:
            overrides: of each job.
            first: number of the first job.
            width: gives, of the jobs that are not finished, how many run at the same time; None: all.
            run: runs jobs and yields each with its outcome.

        Returns:
            What Hydra's sweeper expects: a return value for each job.

        Raises:
            KeyboardInterrupt: the user stopped it; the running jobs were stopped, and the summary was printed.
        """
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        check_directory(self.config.hydra.job.chdir)
        jobs = self._jobs(overrides, first)
        try:
            write_plan(jobs)
        except ConfigError:
            remove_empty_sweep(Path(self.config.hydra.sweep.dir), Path(str(self.config.get("runs", "runs"))))
            raise
        summary = self._summary()
        summary.folders |= {Path(job.folder) for job in jobs}
        outcomes = {job.number: outcome for job in jobs if (outcome := answer(job)) is not None}
        waiting = [job for job in jobs if job.number not in outcomes]
        answered = f"; {len(outcomes)} already finished" if outcomes else ""
        log.info("%d of %d jobs to run%s", len(waiting), len(jobs), answered)
        unchecked = Counter(outcome.reason for outcome in outcomes.values() if outcome.state == "finished")
        for reason, count in unchecked.items():
            if reason:
                log.warning("%s of %d finished %s", reason, count, "job" if count == 1 else "jobs")
        if not waiting:
            return self._ended(jobs, outcomes, summary)
        try:
            progress = Progress(first + len(jobs), len(waiting), width(waiting) or len(waiting))
            for job, outcome in run(waiting):
                outcomes[job.number] = outcome
                progress.log_outcome(job, outcome)
        except KeyboardInterrupt:
            summary.print_summary(summary.folders)
            raise
        return self._ended(jobs, outcomes, summary)

    @staticmethod
    def _ended(jobs: list[SweepJob], outcomes: dict[int, JobOutcome], summary: SweepSummary) -> list[JobReturn]:
        summary.elsewhere += [outcome.reason for outcome in outcomes.values() if outcome.state == "running elsewhere"]
        summary.not_started += len(jobs) - len(outcomes)
        return [_returned(job, outcomes.get(job.number)) for job in jobs]

    def launch_here(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Runs the jobs one after the other in this process; arguments and errors as of `launch`."""

        def run(jobs: list[SweepJob]) -> Outcomes:
            for job in jobs:
                log.debug("job %d starts: %s", job.number + 1, job.label)
                yield job, self._here(job, list(overrides[job.number - first]))

        return self.launch(overrides, first, lambda jobs: 1, run)

    def _here(self, job: SweepJob, words: list[str]) -> JobOutcome:
        started, config = time.monotonic(), self._composed(words, job.number)
        remember_job(Path(job.folder), config.hydra.output_subdir)
        returned = run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        seconds = time.monotonic() - started
        if isinstance(returned.return_value, RunningElsewhere):
            return JobOutcome("running elsewhere", str(returned.return_value), seconds)
        status = status_of_job(Path(job.folder), job.sweep, job.number)
        return JobOutcome(str(status["state"]), str(status.get("error", "")), seconds)

    def _jobs(self, overrides: Sequence[Sequence[str]], first: int) -> list[SweepJob]:
        setup_globals()
        kept = HydraConfig.instance().cfg
        labels = distinct([filter_overrides(words) for words in overrides])
        try:
            return [
                self._job(list(words), first + index, label)
                for index, (words, label) in enumerate(zip(overrides, labels, strict=True))
            ]
        finally:
            HydraConfig.instance().cfg = kept

    def settings(self, job: SweepJob) -> dict[str, Any]:
        """The resolved configuration of a job as plain containers.

        Raises:
            ConfigError: it is not valid.
        """
        setup_globals()
        kept = HydraConfig.instance().cfg
        config = self._composed(list(job.overrides), job.number)
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = job.folder
        HydraConfig.instance().set_config(config)
        with read_write(config), open_dict(config):
            del config["hydra"]  # as Hydra does when it runs the job
        try:
            return resolve(config)
        finally:
            HydraConfig.instance().cfg = kept

    def _composed(self, words: list[str], number: int) -> DictConfig:
        """The configuration of a job."""
        config = self.context.config_loader.load_sweep_config(self.config, words)
        with read_write(config.hydra.job), open_dict(config.hydra.job):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        return config

    def _job(self, words: list[str], number: int, label: str) -> SweepJob:
        config = self._composed(words, number)
        HydraConfig.instance().set_config(config)
        folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        return SweepJob(
            number=number,
            label=label,
            overrides=tuple(filter_overrides(words)),
            arguments=self._alone(words, number),
            folder=os.path.abspath(folder),  # noqa: PTH100 (as Hydra does, without following links)
            directory=str(Path.cwd()),
            sweep=os.environ.get(SWEEP_VARIABLE, ""),
            monitor=(chosen_monitor(config) or ("", ""))[0],
            environment={key: value for key, value in os.environ.items() if key.startswith(CARRIED)},
        )

    def _alone(self, words: Sequence[str], number: int) -> tuple[str, ...]:
        """The arguments of `python` that run one job of the sweep alone."""
        module = getattr(self.task, "command", None)
        if module is None:
            return ()
        typed = OmegaConf.to_container(self.config.hydra.overrides.hydra)
        assert isinstance(typed, list)
        flags = ["--config-name", str(self.config.hydra.job.config_name)]
        for source in self.config.hydra.runtime.config_sources:
            if source.provider == "command-line":
                flags += ["--config-dir", str(source.path)]
            elif source.provider == "main" and Path(source.path) != config_folder():
                flags += ["--config-path", str(source.path)]
        alone = ["hydra.mode=RUN", "hydra.run.dir=${hydra.sweep.dir}/${hydra.sweep.subdir}"]
        numbered = [f"hydra.job.num={number}", f"hydra.job.id='{number}'"]
        return (*_safe_path(), "-m", str(module), *map(str, typed), *words, *alone, *numbered, *flags)

    def _summary(self) -> SweepSummary:
        """The callback that prints the summary; one that Hydra never calls, if the user has removed it."""
        return next(
            (found for found in sweep_callbacks(self.context) if isinstance(found, SweepSummary)), SweepSummary()
        )


def answer(job: SweepJob) -> JobOutcome | None:
    """The outcome of a job that an earlier launch has finished; None if the job still has to run.

    A folder that the user chose, or data whose files have another state, are left to the job, which compares further.
    """
    from tandem.data.unchanged import NOT_CHECKED
    from tandem.reports.run_report import REPORT

    folder = Path(job.folder)
    if not (folder / RESULTS).exists() or not (folder / REPORT).exists():
        return None
    state = _data_state(folder)
    if state is None or not state.answers:
        return None
    try:
        with locked(folder):
            write_status(folder, "finished", job.sweep, job.number, list(job.overrides))
            (folder / ERROR).unlink(missing_ok=True)
    except RunningElsewhere as error:
        return JobOutcome("running elsewhere", str(error))
    return JobOutcome("finished", f"{NOT_CHECKED} ({state.reason})" if state.word == "absent" else "")


def _data_state(folder: Path) -> "DataState | None":
    """The data compared with those of the results in a folder; None for results of another configuration."""
    from tandem.data.unchanged import glance

    try:
        results = read_artifact(folder / RESULTS)
        if results["hash"] != folder.name:
            return None
        data = stored_config(results)["data"]
    except (OSError, ValueError, KeyError, TypeError, DataError):  # damaged: the job says what to do
        return None
    return glance(data, folder)


def _returned(job: SweepJob, outcome: JobOutcome | None) -> JobReturn:
    """A job's return value for Hydra's sweeper: the monitored value. Failures are in the summary."""
    returned = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
    returned.return_value = monitored(job) if outcome is not None and outcome.state == "finished" else None
    return returned


def _safe_path() -> list[str]:
    """The flag that keeps the working directory off a job's import path, if it is not on that of the sweep."""
    return [] if str(Path.cwd()) in {str(Path(entry).absolute()) for entry in sys.path} else ["-P"]
