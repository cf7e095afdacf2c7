"""When a bad trial is ended early: each option creates a pruner of Optuna."""

from typing import Any

from tandem.errors import ConfigError
from tandem.utils.optional import load


class NoPruning:
    """Trains every trial to its end."""

    prunes = False

    def make(self, epochs: int) -> Any:
        """Optuna's pruner.

        Args:
            epochs: of a complete trial.
        """
        return load("optuna.pruners", "search", "adaptive search").NopPruner()


class Median:
    """Prunes a trial whose best value so far is worse than the median of the other trials at the same epoch.

    Source: Golovin et al., Google Vizier, 2017 (the median stopping rule).

    Args:
        startup: number of trials that are never pruned, >= 1.
        warm_up: number of first epochs in which no trial is pruned, >= 0.

    Raises:
        ConfigError: a number is out of range.
    """

    prunes = True

    def __init__(self, startup: int = 5, warm_up: int = 0) -> None:
        if startup < 1 or warm_up < 0:
            raise ConfigError(f"startup={startup}, warm_up={warm_up}: need startup >= 1 and warm_up >= 0")
        self.startup, self.warm_up = startup, warm_up

    def make(self, epochs: int) -> Any:
        """Optuna's pruner.

        Args:
            epochs: of a complete trial.
        """
        return load("optuna.pruners", "search", "adaptive search").MedianPruner(self.startup, self.warm_up)


class Hyperband:
    """Successive halving in several brackets: brackets with fewer trials train each of them for more epochs.

    Source: Li et al., Hyperband, 2018.

    Args:
        least: epochs that every trial is trained for, >= 1.
        factor: at each halving, one trial in `factor` continues, >= 2.

    Raises:
        ConfigError: a number is out of range.
    """

    prunes = True

    def __init__(self, least: int = 1, factor: int = 3) -> None:
        if least < 1 or factor < 2:
            raise ConfigError(f"least={least}, factor={factor}: need least >= 1 and factor >= 2")
        self.least, self.factor = least, factor

    def make(self, epochs: int) -> Any:
        """Optuna's pruner.

        Args:
            epochs: of a complete trial.

        Raises:
            ConfigError: the number of epochs is not known, or is too small.
        """
        if epochs <= self.least:
            raise ConfigError(f"search.pruner.least={self.least} must be below trainer.max_epochs={epochs}")
        return load("optuna.pruners", "search", "adaptive search").HyperbandPruner(self.least, epochs, self.factor)
