"""Reports the objective of a trial after each epoch, and prunes the trial."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from tandem.config.suggest import nearest
from tandem.errors import ConfigError


class Pruned(Exception):  # noqa: N818 (an event, not an error)
    """The trial is pruned: it is worse than the others."""


class ReportEpochs(pl.Callback):
    """Reports the objective after each epoch, and ends the trial if the pruner decides so.

    Values that were reported before an interruption are not reported again.

    Args:
        trial: Optuna's.
        reported: epochs that were reported before.
        objectives: logged names; reported only if there is one, because Optuna cannot prune by several.

    Raises:
        ConfigError: nothing logs an objective.
        Pruned: after an epoch.
    """

    def __init__(self, trial: Any, reported: Sequence[int], objectives: Sequence[str]) -> None:
        self.trial = trial
        self.reported = set(reported)
        self.objectives = tuple(objectives)
        self.validated = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Resets the record of a validation."""
        self.validated = False

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Records that this epoch was validated."""
        self.validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reports the objective, and asks the pruner."""
        if not self.validated:
            return
        epoch, known = trainer.current_epoch, trainer.callback_metrics
        self.trial.set_user_attr("epoch", epoch)
        for name in self.objectives:
            if name not in known:
                logged = [key for key in known if key.startswith("val/")]
                raise ConfigError(f"search.objectives: nothing logs '{name}': {nearest(name, logged)}")
        if len(self.objectives) > 1:
            return
        value = float(known[self.objectives[0]])
        if epoch not in self.reported:
            self.reported.add(epoch)
            self.trial.report(value, epoch)
        last = epoch + 1 == trainer.max_epochs  # pruning would save nothing
        if not last and self.trial.should_prune():
            raise Pruned(f"pruned after epoch {epoch}, with {self.objectives[0]} {value:.4f}")
