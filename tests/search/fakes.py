"""A search whose trials are no runs: a curve with one peak, at x = 2."""

from pathlib import Path
from typing import Any

from tandem.search.pruners import NoPruning
from tandem.search.settings import SearchSettings
from tandem.search.space import Choice, Range
from tandem.search.trials import Trials


def fake_settings(folder: Path, **changes: Any) -> SearchSettings:
    """A search over a number and a choice."""
    known: dict[str, Any] = {
        "folder": folder,
        "n_trials": 6,
        "n_jobs": 1,
        "seed": 0,
        "startup": 4,
        "objectives": ["val/segmentation/dice"],
        "directions": ["maximize"],
        "space": {"x": Range(-5.0, 5.0), "kind": Choice(["a", "b"])},
        "pruner": NoPruning(),
        "epochs": 5,
    }
    return SearchSettings(**{**known, **changes})


def peak(x: float) -> float:
    return 1 / (1 + (x - 2) ** 2)


def hurry(connection: Any, _record: Any) -> None:
    """Lets the database trust the system to write to the disk, which only a failure of power would tell."""
    connection.execute("PRAGMA synchronous=OFF")


def finish(trials: Trials, since: int = 0) -> list[dict[str, Any]]:
    """Takes and completes trials until there are enough; gives their values."""
    taken = []
    while (trial := trials.claim(since)) is not None:
        taken.append(dict(trial.params))
        trials.complete(trial, [peak(trial.params["x"])])
    return taken
