"""The jobs of a sweep: composed once, answered where they are finished, the others run here or handed out."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from tandem.jobs.lock import RunningElsewhere, locked
from tandem.jobs.process import CARRIED, Ending, Job, monitored
from tandem.jobs.status import ERROR, SWEEP_VARIABLE, read_status, write_status
from tandem.jobs.summary import SweepSummary
from tandem.results import RESULTS
from tandem.shipped import config_folder

log = logging.getLogger(__name__)

POLL = 0.1
"""Seconds between two looks at running jobs."""

REMEMBERED = 200
"""How many composed configurations are kept at most: about 1 MiB each."""


class Running(Protocol):
    """A job that was handed out."""

    def ended(self) -> Ending | None:
        """How it ended; None while it runs."""

    def stop(self, why: str) -> None:
        """Begins to stop it."""


Outcomes = Iterator[tuple[Job, Ending]]
"""Each job with its ending, in the order in which they end."""


class Remembering:
    """Composes each job of a sweep once: Hydra does it to find mistakes, and does it again to run the job.

    Args:
        loader: Hydra's, which answers everything else.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.kept: dict[tuple[str, ...], DictConfig] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The configuration of the job with these overrides, always the same object while it is kept."""
        key = tuple(sweep_overrides)
        config = self.kept.get(key)
        if config is None:
            config = self.loader.load_sweep_config(master_config, sweep_overrides)
            if len(self.kept) < REMEMBERED:
                self.kept[key] = config
        return config


@dataclass(frozen=True)
class Sweep:
    """What Hydra gives a launcher.

    Attributes:
        context: composes the configuration of a job, and holds the callbacks.
        config: of the sweep.
        task: Hydra calls it for each job; it names the module that runs it alone.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction

    def __post_init__(self) -> None:
        self.context.config_loader = Remembering(self.context.config_loader)  # type: ignore[assignment]

    def launch(
        self, overrides: Sequence[Sequence[str]], first: int, width: int | None, run: Callable[[list[Job]], Outcomes]
    ) -> list[JobReturn]:
        """Runs the jobs that are not finished, says how each ended, and gives Hydra what it wants to know.

        Args:
            overrides: of each job.
            first: number of the first job.
            width: how many run at a time, for the estimate of what is left; None: all.
            run: runs jobs or hands them out, and gives each with its ending.

        Raises:
            KeyboardInterrupt: the user stopped it; the running jobs were stopped, and the summary was printed.
        """
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        jobs = self._jobs(overrides, first)
        summary = self._summary()
        summary.folders |= {Path(job.folder) for job in jobs}
        endings = {job.number: ending for job in jobs if (ending := answer(job)) is not None}
        waiting = [job for job in jobs if job.number not in endings]
        answered = f"; {len(endings)} already finished" if endings else ""
        log.info("%d of %d jobs to run%s", len(waiting), len(jobs), answered)
        progress = Progress(first + len(jobs), len(waiting), width or len(waiting) or 1)
        try:
            for job, ending in run(waiting) if waiting else ():
                endings[job.number] = ending
                progress.tell(job, ending)
        except KeyboardInterrupt:
            summary.tell(summary.folders)
            raise
        summary.elsewhere += [ending.reason for ending in endings.values() if ending.state == "running elsewhere"]
        summary.not_started += len(jobs) - len(endings)
        return [_returned(job, endings.get(job.number)) for job in jobs]

    def launch_here(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Runs the jobs in this process, one after the other; arguments and errors are those of `launch`."""

        def run(jobs: list[Job]) -> Outcomes:
            for job in jobs:
                log.info("job %d starts: %s", job.number + 1, job.label)
                yield job, self._here(job, list(overrides[job.number - first]))

        return self.launch(overrides, first, 1, run)

    def _here(self, job: Job, words: list[str]) -> Ending:
        started = time.monotonic()
        returned = run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=self._composed(words, job.number),
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        seconds = time.monotonic() - started
        if isinstance(returned.return_value, RunningElsewhere):
            return Ending("running elsewhere", str(returned.return_value), seconds)
        status = read_status(Path(job.folder))
        return Ending(str(status["state"]), str(status.get("error", "")), seconds)

    def _jobs(self, overrides: Sequence[Sequence[str]], first: int) -> list[Job]:
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

    def _composed(self, words: list[str], number: int) -> DictConfig:
        """The configuration of a job."""
        config = self.context.config_loader.load_sweep_config(self.config, words)
        with read_write(config.hydra.job), open_dict(config.hydra.job):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        return config

    def _job(self, words: list[str], number: int, label: str) -> Job:
        config = self._composed(words, number)
        HydraConfig.instance().set_config(config)
        folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        return Job(
            number=number,
            label=label,
            overrides=tuple(filter_overrides(words)),
            arguments=self._alone(words, number),
            folder=os.path.abspath(folder),  # noqa: PTH100 (as Hydra does, without following links)
            directory=str(Path.cwd()),
            sweep=os.environ.get(SWEEP_VARIABLE, ""),
            monitor=str(OmegaConf.select(config, "monitor", default="")),
            environment={key: value for key, value in os.environ.items() if key.startswith(CARRIED)},
        )

    def _alone(self, words: Sequence[str], number: int) -> tuple[str, ...]:
        """What is typed after `python` to run one job of the sweep alone."""
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
        """The callback that tells in the end; one that nobody hears, where the user has taken it out."""
        callbacks = getattr(self.context.callbacks, "callbacks", [])
        return next((found for found in callbacks if isinstance(found, SweepSummary)), SweepSummary())


def pool(jobs: Sequence[Job], start: Callable[[Job], Running], width: int | None, keep_going: bool = True) -> Outcomes:
    """Hands jobs out, some at a time, until all have ended; stops them where it is interrupted.

    Args:
        jobs: in their order.
        start: hands one out.
        width: how many at a time; None: all at once.
        keep_going: whether others are started after one has failed.
    """
    waiting: list[Job] = list(jobs)
    running: list[tuple[Job, Running]] = []
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
        while running:
            time.sleep(POLL)
            list(_ended(running))
        raise


def _ended(running: list[tuple[Job, Running]]) -> Outcomes:
    """Takes out the jobs that have ended."""
    for entry in list(running):
        if (ending := entry[1].ended()) is not None:
            running.remove(entry)
            yield entry[0], ending


def answer(job: Job) -> Ending | None:
    """The ending of a job that needs no process, since it has finished before; None, where it is still to be run."""
    from tandem.reports.run_report import REPORT

    folder = Path(job.folder)
    if not (folder / RESULTS).exists() or not (folder / REPORT).exists():
        return None
    try:
        with locked(folder):
            write_status(folder, "finished", job.sweep, job.number, list(job.overrides))
            (folder / ERROR).unlink(missing_ok=True)
    except RunningElsewhere as error:
        return Ending("running elsewhere", str(error))
    return Ending("finished")


class Progress:
    """A line for each job that ended: which, of how many, how long, the monitored value, and what is left.

    Args:
        count: jobs of the sweep, as far as they are known.
        waiting: how many are to be run.
        width: how many run at a time.
    """

    def __init__(self, count: int, waiting: int, width: int) -> None:
        self.count, self.waiting, self.width = count, waiting, width
        self.seconds: list[float] = []

    def tell(self, job: Job, ending: Ending) -> None:
        """Logs one line."""
        self.seconds.append(ending.seconds)
        line = f"job {job.number + 1} of {self.count} ({job.label}) {ending.state} after {duration(ending.seconds)}"
        if ending.state == "finished":
            value = monitored(job)
            line += "" if value is None else f": {job.monitor} {value:.4f}"
        else:
            line += f": {ending.reason}"
        if left := self.waiting - len(self.seconds):
            rounds = -(-left // self.width)
            line += f" ({left} left, about {duration(rounds * sum(self.seconds) / len(self.seconds))})"
        log.info("%s", line)


def duration(seconds: float) -> str:
    """A time to be read at a glance.

    Example:
        >>> duration(4.2), duration(250), duration(7500)
        ('4 s', '4 min', '2 h 5 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def distinct(overrides: Sequence[Sequence[str]]) -> list[str]:
    """What is typed for each job and not for all of them, with short keys.

    Example:
        >>> distinct([["seed=1", "loss.gamma=1"], ["seed=1", "loss.gamma=2"]])
        ['gamma=1', 'gamma=2']
    """
    from tandem.reports.sweep_table import short_key

    common = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    own = [[word.partition("=") for word in words if word not in common] for words in overrides]
    keys = sorted({key for words in own for key, _, _ in words})
    return [" ".join(f"{short_key(key, keys)}={value}" for key, _, value in words) for words in own]


def _returned(job: Job, ending: Ending | None) -> JobReturn:
    """What a sweeper is told; the summary speaks of what failed."""
    returned = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
    returned.return_value = monitored(job) if ending is not None and ending.state == "finished" else None
    return returned


def _safe_path() -> list[str]:
    """Keeps the working directory off a job's search path where it is not on that of the sweep."""
    return [] if str(Path.cwd()) in {str(Path(entry).absolute()) for entry in sys.path} else ["-P"]
