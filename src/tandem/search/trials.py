"""The trials of a search in its database: who takes which, what became of it, and what is begun again."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from tandem.errors import ConfigError
from tandem.search.presence import Presence, file_lock
from tandem.search.settings import SearchSettings
from tandem.utils.optional import load

DATABASE = "search.db"
SIGNS = ".search"
"""Folder of the locks; whatever lies in it may be removed when nothing runs."""

PATIENCE = 60
"""Seconds to wait for a database that another process writes."""

KILLS = 3
"""A trial that was killed so many times in one epoch would be killed for ever."""

STUDY = "search"
"""Name of the one study in the database; Hyperband divides trials by it, so it is the same for all."""


class Trials:
    """The trials of one search, shared with every process that works on it.

    A trial that a dead process leaves is recorded as failed, without a reason, and stands in the queue again with its
    values and what it reported. The sampler of a trial depends on the seed and the trial's place alone, so that an
    interruption changes no later trial.

    Args:
        settings: of the search.
        words: what every run is trained with, for the message where another search lies there.
        base: identity of the run with the first value of each range.

    Raises:
        ConfigError: the database belongs to another search, or Optuna is missing.
    """

    def __init__(self, settings: SearchSettings, words: Sequence[str], base: str) -> None:
        self.optuna = load("optuna", "search", "adaptive search")
        self.optuna.logging.set_verbosity(self.optuna.logging.ERROR)
        self.settings = settings
        self.signs = settings.folder / SIGNS
        self._lock = self.signs / "lock"
        self.distributions = {key: knob.distribution() for key, knob in settings.space.items()}
        with file_lock(self._lock):  # two processes that make the tables at a time leave a broken database
            self.study = self._open(words, base)
        self.presence = Presence(self.signs)

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
            raise ConfigError(f"{file} is no database of a search ({error.orig}); give another name=...") from error
        about = {
            "words": list(words),
            "base": base,
            "space": {key: repr(knob) for key, knob in settings.space.items()},
            "objectives": [[*pair] for pair in zip(settings.objectives, settings.directions, strict=True)],
        }
        made: Any = None
        if STUDY in self.optuna.get_all_study_names(storage):
            made = self.optuna.load_study(study_name=STUDY, storage=storage)
            if (difference := _difference(made.user_attrs.get("about", {}), about)) is not None:
                if any(trial.state.name != "FAIL" for trial in made.get_trials(deepcopy=False)):
                    raise ConfigError(f"{file} was begun with another {difference}; give this search a name=...")
                self.optuna.delete_study(study_name=STUDY, storage=storage)  # nothing came of it
                made = None
        if made is None:
            made = self.optuna.create_study(study_name=STUDY, storage=storage, directions=settings.directions)
            made.set_user_attr("about", about)
        made.pruner = settings.pruner.make(settings.epochs)
        return made

    def all(self) -> list[Any]:
        """Every trial that was not begun again, as Optuna's frozen trials."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if not _begun_again(trial)]

    def next_number(self) -> int:
        """The number of the trial after the last."""
        return len(self.study.get_trials(deepcopy=False))

    def claim(self, since: int) -> Any:
        """Takes a trial for this process: one that was cut, or a new one; None where there are enough.

        Args:
            since: failed trials with a lower number are of an earlier launch, and others are tried in their place.

        Returns:
            Optuna's trial, with its values.
        """
        with file_lock(self._lock):
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
        """Records what a trial reached."""
        self._tell(trial, list(values))

    def prune(self, trial: Any, reason: str) -> None:
        """Records that a trial was given up."""
        trial.set_user_attr("reason", reason)
        self._tell(trial, state=self.optuna.trial.TrialState.PRUNED)

    def fail(self, trial: Any, reason: str) -> None:
        """Records that a trial failed, and why."""
        trial.set_user_attr("reason", reason)
        self._tell(trial, state=self.optuna.trial.TrialState.FAIL)

    def put_back(self, trial: Any) -> None:
        """Puts an interrupted trial of this process into the queue."""
        with file_lock(self._lock):
            self._again(next(each for each in self.all() if each.number == trial.number), killed=False)

    def _again(self, trial: Any, killed: bool) -> None:
        """Ends a trial without a reason, and queues another with all that is known of it."""
        known = {key: value for key, value in trial.user_attrs.items() if key != "process"}
        if killed:
            known["killed"] = [*known.get("killed", []), known.get("epoch", -1)]
        self._tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        self.study.add_trial(
            self.optuna.create_trial(
                state=self.optuna.trial.TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=known,
                intermediate_values=trial.intermediate_values,
            )
        )

    def _tell(self, trial: Any, values: Sequence[float] | None = None, state: Any = None) -> None:
        self.study.tell(trial, values, state=state)

    def _sampler(self, place: int) -> Any:
        digest = hashlib.sha256(json.dumps([self.settings.seed, place]).encode()).digest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            return self.optuna.samplers.TPESampler(
                n_startup_trials=self.settings.startup, seed=int.from_bytes(digest[:4], "big")
            )


def _begun_again(trial: Any) -> bool:
    return trial.state.name == "FAIL" and "reason" not in trial.user_attrs


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What differs between two searches, in words; None where they are the same."""
    for key, said in (("objectives", "search.objectives"), ("space", "search.space")):
        if before.get(key) != now[key]:
            return said
    if before.get("base") != now["base"]:
        return f"configuration (then: {' '.join(before.get('words', [])) or 'nothing typed'})"
    return None
