"""Ends a run when its share of the budget is used up: its best epoch so far is its result.

The seconds of an epoch are measured anew after each one. Where fewer epochs fit than were planned, a cosine of the
learning rate is shortened, so that it ends with the run: where others use the machine, a run is slow, but has its end.
"""

import logging
import time
from typing import Any

import pytorch_lightning as pl
from torch.optim.lr_scheduler import CosineAnnealingLR

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
        self._shorten(trainer, trainer.current_epoch + 1 + int(max(0.0, self.limit - now) / self.seconds))
        if not last and now + self.seconds > self.limit:
            self.cut, trainer.should_stop = True, True
            log.info("stopped after epoch %d: the budget is used up", trainer.current_epoch + 1)

    def _shorten(self, trainer: pl.Trainer, fit: int) -> None:
        """Lets each cosine end with the last epoch that fits; its next rates follow from the present one."""
        for entry in trainer.lr_scheduler_configs:
            scheduler = entry.scheduler
            if isinstance(scheduler, CosineAnnealingLR) and entry.interval == "epoch":
                scheduler.T_max = max(scheduler.last_epoch + 1, min(fit, trainer.max_epochs or fit))

    def state_dict(self) -> dict[str, Any]:
        """Nothing is kept in checkpoints."""
        return {}
