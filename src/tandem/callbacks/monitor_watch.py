"""Watches the value that selects the best epoch: training ends if it stays undefined."""

import logging
import math

import pytorch_lightning as pl

from tandem.callbacks.split import validated
from tandem.errors import DataError

log = logging.getLogger(__name__)

PATIENCE = 3
"""Number of consecutive validated epochs with a monitored value of nan after which training ends."""


class MonitorWatch(pl.Callback):
    """Warns if the monitored value of an epoch is nan, and ends training after `PATIENCE` such epochs.

    Args:
        monitor: logged name of the value.

    Raises:
        DataError: if it was nan in every validated epoch, so that no epoch is the best.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.missing = 0
        self.defined = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Checks the value of an epoch that was validated."""
        value = trainer.callback_metrics.get(self.monitor)
        if not validated(trainer) or value is None:
            return
        if not math.isnan(float(value)):
            self.missing, self.defined = 0, True
            return
        self.missing += 1
        stop = self.missing >= PATIENCE
        trainer.should_stop = trainer.should_stop or stop
        if trainer.is_global_zero:
            log.warning(
                "%s is nan in epoch %d, so the epoch cannot be the best%s", self.monitor, trainer.current_epoch,
                f"; training ends after {PATIENCE} such epochs" if stop else "",
            )  # fmt: skip

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raises if no epoch is the best."""
        if self.missing and not self.defined:
            raise DataError(
                f"{self.monitor} was nan in every validated epoch, so none is the best; look at the split 'val' and at "
                "the losses in metrics.csv, or set monitor=val/loss"
            )

    def state_dict(self) -> dict[str, int | bool]:
        """Returns the state with which a resumed run ends like an uninterrupted one."""
        return {"missing": self.missing, "defined": self.defined}

    def load_state_dict(self, state_dict: dict[str, int | bool]) -> None:
        """Restores the state."""
        self.missing, self.defined = int(state_dict["missing"]), bool(state_dict["defined"])
