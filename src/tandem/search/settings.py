"""The settings of a search: objectives, search space, number of trials; checked before the first trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.instantiate import build
from tandem.errors import ConfigError
from tandem.search.objectives import read_objectives
from tandem.search.space import Dimension, read_space


@dataclass(frozen=True)
class SearchSettings:
    """A search, read from its configuration.

    Attributes:
        folder: of its runs and its database.
        n_trials: number of finished trials after which it ends.
        n_jobs: number of processes.
        seed: of the sampler.
        startup: number of first trials whose values are drawn at random.
        objectives: logged validation metrics of the best checkpoint.
        directions: of each, `maximize` or `minimize`.
        space: range or choices by key.
        pruner: see `tandem.search.pruners`.
        epochs: of a complete trial.
    """

    folder: Path
    n_trials: int
    n_jobs: int
    seed: int
    startup: int
    objectives: Sequence[str]
    directions: Sequence[str]
    space: Mapping[str, Dimension]
    pruner: Any
    epochs: int


def read_settings(config: Mapping[str, Any]) -> SearchSettings:
    """The settings of a search.

    Args:
        config: the resolved configuration of `conf/search.yaml`.

    Raises:
        ConfigError: a number out of range, an objective that is none, pruning with several objectives, a bad space.
    """
    search = config["search"]
    for key, least in (("n_trials", 1), ("n_jobs", 1), ("seed", 0), ("startup", 1)):
        if search[key] < least:
            raise ConfigError(f"search.{key} is {search[key]}, but must be at least {least}")
    objectives = read_objectives(config)
    pruner = build(search["pruner"], "search.pruner")
    if pruner.prunes and len(objectives) > 1:
        raise ConfigError("a search with several objectives cannot prune; add search/pruner=none")
    epochs = config["trainer"].get("max_epochs") or 0
    pruner.make(epochs)
    space = read_space(search["space"])
    for dimension in space.values():
        dimension.distribution()
    return SearchSettings(
        folder=Path(config["runs"]) / config["name"],
        n_trials=search["n_trials"],
        n_jobs=search["n_jobs"],
        seed=search["seed"],
        startup=search["startup"],
        objectives=list(objectives),
        directions=["maximize" if direction == "max" else "minimize" for direction in objectives.values()],
        space=space,
        pruner=pruner,
        epochs=epochs,
    )
