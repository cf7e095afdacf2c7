"""Sends learning rates and figures to the trackers during training."""

import numpy as np
import pytorch_lightning as pl

from tandem.callbacks.confusion import Confusion
from tandem.callbacks.split import SplitCallback, due
from tandem.callbacks.threshold_sweep import ThresholdSweep
from tandem.errors import ConfigError
from tandem.module import MultiTaskModule
from tandem.trackers import log_figure, log_numbers, trackers


class Tracking(SplitCallback):
    """Logs the learning rate of each epoch, and every few epochs threshold curves and confusion matrices.

    Args:
        every: epochs between two sets of figures, at least 1.

    Raises:
        ConfigError: if `every` is below 1.
    """

    def __init__(self, every: int = 5) -> None:
        if every < 1:
            raise ConfigError(f"every={every}: need every >= 1")
        self.every = every

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the learning rate of the epoch, as in `metrics.csv`."""
        log_numbers(trainer, {"lr": float(trainer.optimizers[0].param_groups[0]["lr"])})

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Draws the threshold curves and confusion matrices of the epoch."""
        if trainer.state.fn != "fit" or not due(trainer, self.every) or not trackers(trainer):
            return
        from tandem.reports.figures import confusion_figure, sweep_figure  # matplotlib comes with the first figure

        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ThresholdSweep):
                for place, curve in callback.curves.items():
                    log_figure(trainer, f"{place}/dice_against_threshold", sweep_figure(curve))
            if isinstance(callback, Confusion):
                for place, matrix in callback.matrices.items():
                    figure = confusion_figure(np.array(matrix["counts"]), matrix["classes"])
                    log_figure(trainer, f"{place}/confusion", figure)
