"""When a trial that does badly is given up, chosen by config; each becomes a pruner of Optuna."""

from typing import Any

from tandem.errors import ConfigError
from tandem.utils.optional import load


class NoPruning:
    """Every trial is trained to its end."""

    prunes = False

    def make(self, epochs: int) -> Any:
        """Optuna's pruner.

        Args:
            epochs: of a whole trial.
        """
        return load("optuna.pruners", "search", "adaptive search").NopPruner()


class Median:
    """Gives a trial up whose best value so far is worse than the median of the others' at the same epoch.

    Source: Golovin et al., Google Vizier, 2017 (the median stopping rule).

    Args:
        startup: so many trials are trained whole first, >= 1.
        warm_up: epochs of each trial that are not judged, >= 0.

    Raises:
        ConfigError: a number out of range.
    """

    prunes = True

    def __init__(self, startup: int = 5, warm_up: int = 0) -> None:
        if startup < 1 or warm_up < 0:
            raise ConfigError(f"startup={startup}, warm_up={warm_up}: need startup >= 1 and warm_up >= 0")
        self.startup, self.warm_up = startup, warm_up

    def make(self, epochs: int) -> Any:
        """Optuna's pruner.

        Args:
            epochs: of a whole trial.
        """
        return load("optuna.pruners", "search", "adaptive search").MedianPruner(self.startup, self.warm_up)


class Hyperband:
    """Halves the trials again and again, several times over with fewer trials that each get more epochs.

    Source: Li et al., Hyperband, 2018.

    Args:
        least: epochs that every trial gets, >= 1.
        factor: one trial out of so many goes on at each halving, >= 2.

    Raises:
        ConfigError: a number out of range.
    """

    prunes = True

    def __init__(self, least: int = 1, factor: int = 3) -> None:
        if least < 1 or factor < 2:
            raise ConfigError(f"least={least}, factor={factor}: need least >= 1 and factor >= 2")
        self.least, self.factor = least, factor

    def make(self, epochs: int) -> Any:
        """Optuna's pruner.

        Args:
            epochs: of a whole trial.

        Raises:
            ConfigError: a trial has no known or too few epochs.
        """
        if epochs <= self.least:
            raise ConfigError(
                f"search.pruner.least={self.least} leaves nothing to halve of trainer.max_epochs={epochs}"
            )
        return load("optuna.pruners", "search", "adaptive search").HyperbandPruner(self.least, epochs, self.factor)
