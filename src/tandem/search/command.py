"""The command: checks the search, runs its trials in one or several processes, prints the results."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError, TandemError
from tandem.utils.commands import spelled
from tandem.utils.signals import exit_code

if TYPE_CHECKING:
    from tandem.search.settings import SearchSettings
    from tandem.search.trials import Trials

log = logging.getLogger(__name__)


def main() -> None:
    """The command of `scripts/search.py`."""
    from tandem.cli import run_tool

    run_tool(search_job, "search", "interrupted; rerun the same command to resume")


def search_job(config: Mapping[str, Any]) -> None:
    """Starts or resumes a search, and prints its results.

    Args:
        config: the resolved configuration of `conf/search.yaml`.

    Raises:
        TandemError: the search is not valid, or every trial failed.
    """
    from hydra.core.hydra_config import HydraConfig

    from tandem.config.identity import run_hash
    from tandem.search.earlier import check_earlier
    from tandem.search.overrides import compose_run, named, words_for_training
    from tandem.search.processes import SINCE
    from tandem.search.settings import read_settings
    from tandem.search.space import as_overrides
    from tandem.search.trials import Trials

    hydra = HydraConfig.get()
    if (study := hydra.runtime.choices.get("study")) is not None:
        raise ConfigError(f"a search creates its own runs; remove study={study}")
    settings = read_settings(config)
    words = named(words_for_training(hydra.overrides.task, settings.space), config["name"])
    first = compose_run([*words, *as_overrides({key: each.first for key, each in settings.space.items()})])
    _check_run(first)
    settings.folder.mkdir(parents=True, exist_ok=True)
    for handler in logging.getLogger().handlers:  # each run has its own log
        handler.addFilter(logging.Filter("tandem.search"))
    trials = Trials(settings, words, run_hash(first))
    try:
        if SINCE in os.environ:
            _follow(trials, words, int(os.environ[SINCE]))
        else:
            check_earlier(trials, config["search"]["mixed"])
            _lead(trials, words)
    finally:
        trials.presence.end()


def _check_run(config: Mapping[str, Any]) -> None:
    """Raises if no trial could be trained with this configuration."""
    from tandem.distributed.count import device_count
    from tandem.train.run import check_config

    check_config(config)
    if (count := device_count(config)) > 1:
        raise ConfigError(
            f"each trial of a search runs on one device, not {count}: set trainer.devices=1, and search.n_jobs={count} "
            "to run several trials at the same time"
        )


def _follow(trials: "Trials", words: Sequence[str], since: int) -> None:
    """Runs trials in a further process; the first process prints the message after Ctrl-C."""
    from tandem.jobs.process import follow_parent
    from tandem.search.work import work

    try:
        follow_parent()
        work(trials, words, since, bar=False)
    except KeyboardInterrupt as stop:
        raise SystemExit(exit_code(stop)) from None


def _lead(trials: "Trials", words: Sequence[str]) -> None:
    """Runs the trials, in this process or in several others, and prints the results."""
    from rich.console import Console

    from tandem.search.processes import run_processes
    from tandem.search.table import print_search, write_trials
    from tandem.search.work import work

    settings, since = trials.settings, trials.next_number()
    _announce(settings, sum(trial.state.is_finished() for trial in trials.all()))
    well = True
    if settings.n_jobs == 1:
        work(trials, words, since, bar=True)
    else:
        well = run_processes(settings.n_jobs, since)
    print_search(trials, words, spelled("train"), Console())
    log.info("table: %s; runs: %s %s", write_trials(trials), spelled("study"), settings.folder)
    if not well:
        raise TandemError("a process of the search ended with the error above; rerun the same command to resume")
    states = [trial.state.name for trial in trials.all()]
    if set(states) == {"FAIL"}:
        raise TandemError(f"all {len(states)} trials failed, the last: {trials.all()[-1].user_attrs['reason']}")


def _announce(settings: "SearchSettings", known: int) -> None:
    aims = ", ".join(f"{way} {name}" for name, way in zip(settings.objectives, settings.directions, strict=True))
    log.info("search %s: %s over %s", settings.folder, aims, ", ".join(settings.space))
    if known:
        log.info("resuming after %d of %d trials", known, settings.n_trials)
