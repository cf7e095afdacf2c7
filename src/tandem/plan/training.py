"""Trains a plan: each fold within its share of the budget, the test once, one file of all folds, one page."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.plan.plan import Places
from tandem.plan.rules.epochs import MOST

log = logging.getLogger(__name__)

TESTED = 0.12
"""Share of the budget for evaluation and pages."""

START = 3.0
"""Seconds that a run takes beside its epochs: reading from the cache, the best epoch on test data, its report."""


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
    from tandem.utils.files import write_json, write_text
    from tandem.utils.written import writing

    state = read_state(places)
    words = [f"experiment={places.name}", f"runs={config['runs']}"]
    base = compose(words, places.out)
    folds = int(base["data"].get("folds") or 1)
    spent = float(state["training"].get("seconds", 0.0))
    with writing(places.out, "plan", overwrite=True):  # its own files; the experiment is not written
        runs = [
            _fold(fold, folds, words, base, places, state, began - spent + budget * (1 - TESTED), began, spent)
            for fold in range(folds)
        ]
        rows = [_tested(folder, base) for folder in runs]
        outcome = outcome_of(rows, runs)
        predict = f"{spelled('predict')} run={places.archive} images=IMAGES out=predicted"
        write_archive(places.archive, runs)
        state["training"]["seconds"] = spent + time.monotonic() - began
        cut = sum(bool(entry.get("cut")) for entry in state["training"]["folds"].values())
        write_text(
            places.result, result_page(places.name, outcome, state, predict, cut, worst_cases(outcome, rows, runs))
        )
        write_json(places.state, state)
    log.info("%s", summary(outcome))
    log.info("%.0f of %.0f s of the budget", state["training"]["seconds"], budget)
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


def _fold(
    fold: int,
    folds: int,
    words: list[str],
    base: Any,
    places: Places,
    state: dict[str, Any],
    end: float,
    began: float,
    spent: float,
) -> Path:
    """Trains one fold, unless it is finished; returns its folder."""
    from tandem.python.config import compose
    from tandem.python.fit import fit
    from tandem.utils.artifacts import RESULTS
    from tandem.utils.digests import read_artifact
    from tandem.utils.files import write_json

    known = state["training"]["folds"]
    now = time.monotonic()
    entry = known.get(str(fold))
    limit = now + max(0.0, end - now) / (folds - fold)
    if entry is None:
        planned = int(base["trainer"]["max_epochs"])
        seconds = max(1.0, round(limit - now - START, 1))
        entry = known[str(fold)] = {"epochs": epochs_in(seconds, planned, state, fold), "seconds": seconds}
        write_json(places.state, state)
    # the deadline is an option like any other: a run that it cuts is another run than one without it
    ends = "{_target_: tandem.callbacks.Deadline, seconds: " + f"{entry['seconds']}}}"
    words = [
        *words,
        f"trainer.max_epochs={entry['epochs']}",
        f"+callbacks.deadline={ends}",
        *([f"data.fold={fold}"] if folds > 1 else []),
    ]
    config = compose(words, places.out)
    if (config.folder / RESULTS).exists():
        log.info("fold %d of %d: finished before (%s)", fold + 1, folds, config.folder)
        return config.folder
    log.info("fold %d of %d: %d epochs, at most %.0f s", fold + 1, folds, entry["epochs"], entry["seconds"])
    try:
        fit(config)
    finally:
        state["training"]["seconds"] = spent + time.monotonic() - began
        write_json(places.state, state)
    results = read_artifact(config.folder / RESULTS)
    each = results["seconds"] / max(1, results["epochs"])
    entry |= {"cut": results["epochs"] < entry["epochs"], "epoch_seconds": round(each, 3), "folder": config.folder.name}
    write_json(places.state, state)
    return config.folder


def epochs_in(seconds: float, planned: int, state: Mapping[str, Any], fold: int) -> int:
    """The epochs of a fold that fit into some seconds, by the fold before; the first fold has those of the plan.

    Args:
        seconds: for this fold.
        planned: by the experiment as it stands.
        state: of the plan.
        fold: from 0.

    Example:
        >>> state = {"training": {"folds": {"0": {"epoch_seconds": 2.0}}}, "choices": {}}
        >>> epochs_in(60, 40, state, 1), epochs_in(60, 40, state, 0)
        (30, 40)
    """
    measured = float((state["training"]["folds"].get(str(fold - 1)) or {}).get("epoch_seconds") or 0.0)
    if not measured:
        return planned
    choice = ((state["choices"].get("epochs") or {}).get("values") or {}).get("trainer.max_epochs")
    most = MOST if choice == planned else planned  # an edited number is not exceeded
    return max(1, min(int(seconds / measured), most))


def _tested(folder: Path, base: Mapping[str, Any]) -> list[dict[str, str]]:
    """The rows per image of a run on its test images; evaluated once."""
    import csv

    from tandem.evaluate.command import evaluate_run
    from tandem.evaluate.settings import EvaluateSettings

    file = folder / "evaluation" / "test" / "images.csv"
    if not file.exists() or not (file.parent / "metrics.json").exists():
        evaluate_run(EvaluateSettings(folder, "test", "stored", None, None, True, 0, False, 200, 0, {}))
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))
