"""What a trial tells of each epoch, and where it ends early."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from tandem.config.suggest import nearest
from tandem.errors import ConfigError


class Pruned(Exception):  # noqa: N818 (what happened, and no fault)
    """The trial does badly beside the others, and is given up."""


class ReportEpochs(pl.Callback):
    """Reports the objective of each epoch, and gives the trial up where the pruner says so.

    Values that were reported before an interruption are not reported again.

    Args:
        trial: Optuna's.
        reported: epochs that it has reported.
        objectives: logged names; only a single one is reported, since there is no pruning by several.

    Raises:
        ConfigError: an objective that nothing logs.
        Pruned: after an epoch.
    """

    def __init__(self, trial: Any, reported: Sequence[int], objectives: Sequence[str]) -> None:
        self.trial = trial
        self.reported = set(reported)
        self.objectives = tuple(objectives)
        self.validated = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forgets the validation of the epoch before."""
        self.validated = False

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that the epoch has values of its own."""
        self.validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reports, and asks the pruner."""
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
        last = epoch + 1 == trainer.max_epochs  # then nothing would be saved by it
        if not last and self.trial.should_prune():
            raise Pruned(f"pruned after epoch {epoch}, with {self.objectives[0]} {value:.4f}")
