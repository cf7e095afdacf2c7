"""Runs trials in this process, one after the other, until there are enough."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError, DataError
from tandem.search.overrides import compose_run
from tandem.search.run import Outcome, run_trial
from tandem.search.settings import SearchSettings
from tandem.search.space import as_overrides
from tandem.search.trials import Trials

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger(__name__)


def work(trials: Trials, words: Sequence[str], since: int, bar: bool) -> None:
    """Runs trials until none is left; an interrupted trial is queued again.

    Args:
        trials: of the search.
        words: overrides that all trials share.
        since: see `Trials.claim`.
        bar: whether each may show a progress bar in a terminal.

    Raises:
        DataError: an error in the data makes the first trial fail.
        KeyboardInterrupt: the user stopped it.
    """
    settings = trials.settings
    while (trial := trials.claim(since)) is not None:
        started = time.monotonic()
        own = as_overrides({key: trial.params[key] for key in settings.space})
        try:
            outcome = _run(trial, settings, [*words, *own], bar)
        except KeyboardInterrupt:
            trials.put_back(trial)
            raise
        trial.set_user_attr("seconds", round(time.monotonic() - started, 1))
        _record(trials, trial, outcome)
        done = sum(each.state.is_finished() for each in trials.all())
        log.info("trial %d, %d of %d: %s", trial.number, done, settings.n_trials, _summary(trial, outcome, settings))
        if outcome.data and not any(each.state.name in ("COMPLETE", "PRUNED") for each in trials.all()):
            raise DataError(outcome.reason)


def _run(trial: Any, settings: SearchSettings, words: Sequence[str], bar: bool) -> Outcome:
    """Runs one trial; it fails if its configuration cannot be composed."""
    from tandem.config.identity import run_hash

    try:
        config = compose_run(words)
    except ConfigError as error:
        return Outcome("failed", reason=str(error))
    folder = Path(config["runs"]) / config["name"] / run_hash(config)
    trial.set_user_attr("folder", str(folder))
    log.info("trial %d: %s (%s)", trial.number, short_values(trial.params), folder)
    if not bar:
        config = _without_bar(config)

    def callback() -> "pl.Callback":
        from tandem.search.callback import ReportEpochs

        reported = next(each for each in trial.study.trials if each.number == trial.number).intermediate_values
        return ReportEpochs(trial, list(reported), settings.objectives)

    return run_trial(config, folder, words, trial.number, settings.objectives, callback)


def _without_bar(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without a progress bar: the bars of several processes would overwrite each other."""
    return {**config, "callbacks": {key: value for key, value in config["callbacks"].items() if key != "progress"}}


def _record(trials: Trials, trial: Any, outcome: Outcome) -> None:
    if outcome.state == "complete":
        trials.complete(trial, outcome.values)
    elif outcome.state == "pruned":
        trials.prune(trial, outcome.reason)
    else:
        trials.fail(trial, outcome.reason)


def _summary(trial: Any, outcome: Outcome, settings: SearchSettings) -> str:
    seconds = f"{trial.user_attrs['seconds']:.0f} s"
    if outcome.state != "complete":
        return f"{outcome.reason if outcome.state == 'pruned' else f'failed: {outcome.reason}'} ({seconds})"
    values = zip(settings.objectives, outcome.values, strict=True)
    return f"{', '.join(f'{name} {value:.4f}' for name, value in values)} ({seconds})"


def short_values(values: Mapping[str, Any]) -> str:
    """Values for people: short keys, four digits.

    Example:
        >>> short_values({"optimizer.lr": 0.00123456, "loss/binary@tasks.segmentation.loss": "dice"})
        'lr=0.001235 loss=dice'
    """
    from tandem.reports.sweep_table import short_key

    keys = list(values)
    return " ".join(f"{short_key(key, keys)}={short_value(value)}" for key, value in values.items())


def short_value(value: Any) -> str:
    """A number with four digits, or any other value as in an override."""
    from tandem.search.space import as_text

    return f"{value:.4g}" if isinstance(value, float) else as_text(value)
