"""Ends a run when its time is used up: its best epoch so far is its result."""

import logging
import time
from typing import Any

import pytorch_lightning as pl
from torch.optim.lr_scheduler import CosineAnnealingLR

from tandem.errors import ConfigError

log = logging.getLogger(__name__)


class Deadline(pl.Callback):
    """Stops after the epoch behind which another one would not fit into the time.

    The seconds of an epoch are measured anew after each one. Where fewer epochs fit than were planned, a cosine of the
    learning rate is shortened, so that it ends with the run. So the numbers depend on how fast the machine is: the same
    command gives others on another one.

    Args:
        seconds: of all epochs with their validation, above 0; those of an interrupted run count.

    Raises:
        ConfigError: if there are none.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ConfigError(f"seconds={seconds}: a deadline needs seconds above 0")
        self.limit, self.spent, self.epochs, self.began = seconds, 0.0, 0, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins to measure."""
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures, and stops."""
        self.spent += time.monotonic() - self.began
        self.epochs += 1
        done, each = trainer.current_epoch + 1, self.spent / self.epochs
        self._shorten(trainer, done + int(max(0.0, self.limit - self.spent) / each))
        late = done < (trainer.max_epochs or 0) and self.spent + each > self.limit
        if trainer.strategy.reduce_boolean_decision(late, all=False):
            trainer.should_stop = True
            log.info("stopped after epoch %d: the time of callbacks.deadline is used up", done)

    def _shorten(self, trainer: pl.Trainer, fit: int) -> None:
        """Lets each cosine end with the last epoch that fits; its next rates follow from the present one."""
        for entry in trainer.lr_scheduler_configs:
            scheduler = entry.scheduler
            if isinstance(scheduler, CosineAnnealingLR) and entry.interval == "epoch":
                scheduler.T_max = max(scheduler.last_epoch + 1, min(fit, trainer.max_epochs or fit))

    def state_dict(self) -> dict[str, Any]:
        """The time that was used, for a run that goes on."""
        return {"spent": self.spent, "epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self.spent, self.epochs = float(state_dict["spent"]), int(state_dict["epochs"])
