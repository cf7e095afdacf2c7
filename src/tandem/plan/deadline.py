"""Ends a run when its share of the budget is used up: its best epoch so far is its result."""

import logging
import time
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)


class Deadline(pl.Callback):
    """Stops after the epoch behind which another one would not fit.

    Args:
        limit: the time, by `time.monotonic`.

    Attributes:
        cut: whether the run was stopped.
        seconds: of an epoch, the mean so far; 0 before the first has ended.
    """

    def __init__(self, limit: float) -> None:
        self.limit, self.cut, self.seconds = limit, False, 0.0
        self.began, self.epochs = 0.0, 0

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begins to measure."""
        self.began = self.began or time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Measures, and stops."""
        self.epochs += 1
        now = time.monotonic()
        self.seconds = (now - self.began) / self.epochs
        last = trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
        if not last and now + self.seconds > self.limit:
            self.cut, trainer.should_stop = True, True
            log.info("stopped after epoch %d: the budget is used up", trainer.current_epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Nothing is kept in checkpoints."""
        return {}
