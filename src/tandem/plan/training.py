"""Trains a plan: each fold within its share of the budget, the test once, one file of all folds, one page."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.plan.plan import Places
from tandem.plan.rules.epochs import MOST
from tandem.plan.schedule import most_epochs, seconds_for

log = logging.getLogger(__name__)

Rows = list[dict[str, str]]


def train_plan(config: Mapping[str, Any], places: Places, budget: float, began: float) -> None:
    """Trains what is left of a plan, evaluates and writes the files; typed again, it goes on.

    Args:
        config: the resolved configuration of `conf/plan.yaml`.
        places: of the plan's files.
        budget: seconds, of all calls together.
        began: when this call began, by `time.monotonic`.
    """
    from tandem.plan.archive import write_archive
    from tandem.plan.cases import worst_cases
    from tandem.plan.outcome import outcome_of
    from tandem.plan.result_page import result_page, summary
    from tandem.python.config import compose
    from tandem.utils.commands import spelled
    from tandem.utils.files import write_text
    from tandem.utils.written import writing

    state = read_state(places)
    words = [f"experiment={places.name}", f"runs={config['runs']}"]
    base = compose(words, places.out)
    training = Training(places, state, words, base, budget, began - float(state["training"].get("seconds", 0.0)))
    with writing(places.out, "plan", overwrite=True):  # its own files; the experiment is not written
        trained = [training.fold(fold) for fold in range(training.folds)]
        runs, rows = [folder for folder, _ in trained], [row for _, row in trained]
        outcome = outcome_of(rows, runs, state["fingerprint"].get("mask_classes", ())[:1])
        predict = f"{spelled('predict')} run={places.archive} images=IMAGES out=predicted"
        write_archive(places.archive, runs)
        page = result_page(places.name, outcome, state, predict, training.cut, worst_cases(outcome, rows, runs))
        write_text(places.result, page)
        training.save()
    log.info("%s", summary(outcome))
    log.info("%.0f of %.0f s of the budget%s", training.spent, budget, training.why_early)
    log.info("page: %s", places.result)
    log.info("next: %s", predict)


def read_state(places: Places) -> dict[str, Any]:
    """What the plan's file says, with what has been trained.

    Raises:
        DataError: it is not as a plan wrote it.
    """
    from tandem.utils.files import read_json

    try:
        state = dict(read_json(places.state))
        if missing := {"fingerprint", "choices"} - state.keys():
            raise ValueError(f"it lacks {min(missing)}")
        state.setdefault("training", {}).setdefault("folds", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{places.state} is no plan ({error}); remove it, or add overwrite=true") from error
    return state


@dataclass(frozen=True)
class Training:
    """A plan that is being trained.

    Attributes:
        places: of the plan's files.
        state: what the plan's file says; it gets an entry for each fold.
        words: overrides of every fold.
        base: the configuration that they compose.
        budget: seconds of all calls together.
        began: when the first call would have begun, had it not been interrupted, by `time.monotonic`.
    """

    places: Places
    state: dict[str, Any]
    words: list[str]
    base: Mapping[str, Any]
    budget: float
    began: float

    @property
    def folds(self) -> int:
        """Number of folds; 1 for one split."""
        return int(self.base["data"].get("folds") or 1)

    @property
    def planned(self) -> int:
        """Epochs of the experiment as it stands."""
        return int(self.base["trainer"]["max_epochs"])

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.began

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What is known of the folds that have begun, in order."""
        known = self.state["training"]["folds"]
        return [known[str(fold)] for fold in range(self.folds) if str(fold) in known]

    @property
    def cut(self) -> int:
        """Number of folds that the budget ended before the epochs of the plan."""
        return sum(int(entry.get("trained", self.planned)) < self.planned for entry in self.entries)

    @property
    def why_early(self) -> str:
        """Why time may be left: words for the end of a line."""
        every = all(entry.get("trained") == MOST for entry in self.entries)
        return f"; each run has {MOST} epochs, beyond which more are not worth their time" if every else ""

    def save(self) -> None:
        """Writes the plan's file."""
        from tandem.utils.files import write_json

        self.state["training"]["seconds"] = self.spent
        write_json(self.places.state, self.state)

    def fold(self, fold: int) -> tuple[Path, Rows]:
        """Trains a fold and tests it, unless that is done; returns its folder and the rows of its test images.

        Args:
            fold: from 0.
        """
        from tandem.python.config import compose
        from tandem.python.fit import fit
        from tandem.utils.artifacts import RESULTS
        from tandem.utils.digests import read_artifact

        known, before = self.state["training"]["folds"], self.spent
        entry, new = known.get(str(fold)), str(fold) not in known
        if new:
            seconds = seconds_for(fold, self.folds, self.budget, before, self.entries)
            epochs = most_epochs(self.planned, self.state["choices"])
            entry = known[str(fold)] = {"epochs": epochs, "seconds": seconds}
            self.save()
        # the deadline is an option like any other: a run that it cuts is another run than one without it
        ends = "{_target_: tandem.callbacks.Deadline, seconds: " + f"{entry['seconds']}}}"
        words = [*self.words, f"trainer.max_epochs={entry['epochs']}", f"+callbacks.deadline={ends}"]
        config = compose([*words, *([f"data.fold={fold}"] if self.folds > 1 else [])], self.places.out)
        if (config.folder / RESULTS).exists():
            log.info("fold %d of %d: finished before (%s)", fold + 1, self.folds, config.folder)
            return config.folder, tested(config.folder)
        said = "fold %d of %d: about %d epochs are planned, at most %d, in %.0f s"
        log.info(said, fold + 1, self.folds, self.planned, entry["epochs"], entry["seconds"])
        try:
            fit(config)
            entry |= {"trained": read_artifact(config.folder / RESULTS)["epochs"], "folder": config.folder.name}
            rows = tested(config.folder)
            over = self.spent - before - entry["seconds"]
            if new and over > 0:  # of a run that was interrupted, or that had all its epochs, this is not known
                entry["beside"] = round(over, 1)
        finally:
            self.save()
        return config.folder, rows


def tested(folder: Path) -> Rows:
    """The rows per image of a run on its test images; evaluated once."""
    import csv

    from tandem.evaluate.command import evaluate_run
    from tandem.evaluate.settings import EvaluateSettings

    file = folder / "evaluation" / "test" / "images.csv"
    if not file.exists() or not (file.parent / "metrics.json").exists():
        evaluate_run(EvaluateSettings(folder, "test", "stored", None, None, True, 0, False, 200, 0, {}))
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))
