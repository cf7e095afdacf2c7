"""The trials of a search in its database: which process takes which, the outcomes, and which are restarted."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from tandem.errors import ConfigError
from tandem.search.presence import Presence
from tandem.search.settings import SearchSettings
from tandem.utils.locks import holding
from tandem.utils.optional import load

DATABASE = "search.db"
LOCKS = ".search"
"""Folder of the locks; may be removed when nothing runs."""

PATIENCE = 60
"""Seconds to wait while another process writes to the database."""

KILLS = 3
"""A trial that was killed this many times in the same epoch fails."""

STUDY = "search"
"""Name of the only study in the database; Hyperband assigns trials to brackets by it, so that it never changes."""


class Trials:
    """The trials of one search, shared with every process that works on it.

    A trial of a dead process is recorded as failed, without a reason, and is queued again with its values and reports.
    The sampler of a trial depends only on the seed and on the trial's position, so that an interruption does not change
    later trials.

    Args:
        settings: of the search.
        words: overrides of every run, for the message if the folder has another search.
        base: hash of the run with the first value of each range.

    Raises:
        ConfigError: the database belongs to another search, or Optuna is missing.
    """

    def __init__(self, settings: SearchSettings, words: Sequence[str], base: str) -> None:
        self.optuna = load("optuna", "search", "adaptive search")
        self.optuna.logging.set_verbosity(self.optuna.logging.ERROR)
        self.settings = settings
        locks = settings.folder / LOCKS
        self._lock = locks / "lock"
        self.distributions = {key: each.distribution() for key, each in settings.space.items()}
        with holding(self._lock):  # two processes that create the tables at the same time break the database
            self.study = self._open(words, base)
        self.presence = Presence(locks)

    def _open(self, words: Sequence[str], base: str) -> Any:
        import sqlalchemy

        settings = self.settings
        file = settings.folder / DATABASE
        url = sqlalchemy.URL.create("sqlite", database=str(file.resolve()))
        try:
            storage = self.optuna.storages.RDBStorage(
                url.render_as_string(), engine_kwargs={"connect_args": {"timeout": PATIENCE}}
            )
        except sqlalchemy.exc.DatabaseError as error:
            raise ConfigError(
                f"{file} is not the database of a search ({error.orig}); give another name=..."
            ) from error
        about = {
            "words": list(words),
            "base": base,
            "space": {key: repr(each) for key, each in settings.space.items()},
            "objectives": [[*pair] for pair in zip(settings.objectives, settings.directions, strict=True)],
        }
        made: Any = None
        if STUDY in self.optuna.get_all_study_names(storage):
            made = self.optuna.load_study(study_name=STUDY, storage=storage)
            if (difference := _difference(made.user_attrs.get("about", {}), about)) is not None:
                if any(trial.state.name != "FAIL" for trial in made.get_trials(deepcopy=False)):
                    raise ConfigError(
                        f"{file} was started with another {difference}; give this search another name=..."
                    )
                self.optuna.delete_study(study_name=STUDY, storage=storage)  # it has no results
                made = None
        if made is None:
            made = self.optuna.create_study(study_name=STUDY, storage=storage, directions=settings.directions)
            made.set_user_attr("about", about)
        made.pruner = settings.pruner.make(settings.epochs)
        return made

    def all(self) -> list[Any]:
        """Every trial that was not restarted, as Optuna's frozen trials."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if not _restarted(trial)]

    def next_number(self) -> int:
        """The number of the trial after the last."""
        return len(self.study.get_trials(deepcopy=False))

    def claim(self, since: int) -> Any:
        """Takes a trial for this process: an interrupted one, or a new one; None if there are enough.

        Args:
            since: first number of this launch; failed trials of earlier launches do not count.

        Returns:
            Optuna's trial, with its values.
        """
        with holding(self._lock):
            for trial in self.all():
                if trial.state.name == "RUNNING" and not self.presence.alive(trial.user_attrs.get("process")):
                    self._again(trial, killed=True)
            while True:
                trials = self.all()
                waiting = any(trial.state.name == "WAITING" for trial in trials)
                counted = [trial for trial in trials if trial.state.name != "FAIL" or trial.number >= since]
                if not waiting and len(counted) >= self.settings.n_trials:
                    return None
                self.study.sampler = self._sampler(sum(trial.state.name != "WAITING" for trial in trials))
                trial = self.study.ask(fixed_distributions=self.distributions)
                trial.set_user_attr("process", self.presence.name)
                kills = trial.user_attrs.get("killed", [])
                if len(kills) < KILLS or len(set(kills[-KILLS:])) > 1:
                    return trial
                self.fail(trial, f"killed {KILLS} times in the same epoch")

    def complete(self, trial: Any, values: Sequence[float]) -> None:
        """Records the values of a complete trial."""
        self._end(trial, list(values))

    def prune(self, trial: Any, reason: str) -> None:
        """Records that a trial was pruned, and why."""
        trial.set_user_attr("reason", reason)
        self._end(trial, state=self.optuna.trial.TrialState.PRUNED)

    def fail(self, trial: Any, reason: str) -> None:
        """Records that a trial failed, and why."""
        trial.set_user_attr("reason", reason)
        self._end(trial, state=self.optuna.trial.TrialState.FAIL)

    def put_back(self, trial: Any) -> None:
        """Queues an interrupted trial of this process again."""
        with holding(self._lock):
            self._again(next(each for each in self.all() if each.number == trial.number), killed=False)

    def _again(self, trial: Any, killed: bool) -> None:
        """Ends a trial without a reason, and queues a copy of it."""
        known = {key: value for key, value in trial.user_attrs.items() if key != "process"}
        if killed:
            known["killed"] = [*known.get("killed", []), known.get("epoch", -1)]
        self._end(trial.number, state=self.optuna.trial.TrialState.FAIL)
        self.study.add_trial(
            self.optuna.create_trial(
                state=self.optuna.trial.TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=known,
                intermediate_values=trial.intermediate_values,
            )
        )

    def _end(self, trial: Any, values: Sequence[float] | None = None, state: Any = None) -> None:
        self.study.tell(trial, values, state=state)

    def _sampler(self, place: int) -> Any:
        digest = hashlib.sha256(json.dumps([self.settings.seed, place]).encode()).digest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            return self.optuna.samplers.TPESampler(
                n_startup_trials=self.settings.startup, seed=int.from_bytes(digest[:4], "big")
            )


def _restarted(trial: Any) -> bool:
    return trial.state.name == "FAIL" and "reason" not in trial.user_attrs


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What differs between two searches, in words; None if nothing does."""
    for key, name in (("objectives", "search.objectives"), ("space", "search.space")):
        if before.get(key) != now[key]:
            return name
    if before.get("base") != now["base"]:
        return f"configuration (then: {' '.join(before.get('words', [])) or 'no overrides'})"
    return None
