"""Base class of callbacks that process a whole split: begin, see every batch, end."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from tandem.errors import ConfigError
from tandem.module import MultiTaskModule


class SplitCallback(pl.Callback):
    """A callback over the validation and test splits, with three hooks instead of Lightning's six.

    `stage` is `val` or `test`. The sanity check before training calls none of the hooks.

    Attributes:
        any_module: whether it works in any LightningModule; otherwise in tandem's own only.
    """

    any_module = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lightning hook: refuses a module that the callback cannot read.

        Raises:
            ConfigError: the module is not tandem's own.
        """
        if not self.any_module and not isinstance(pl_module, MultiTaskModule):
            raise ConfigError(
                f"{type(self).__name__} reads the tasks of tandem's own module, but {type(pl_module).__name__} is not "
                "one; leave it out (ThresholdSweep, MetricsCSV and WeightAverage work in any LightningModule)"
            )

    def begin(self, trainer: pl.Trainer, module: Any, stage: str) -> None:
        """Called before the first batch of a split."""

    def see(self, trainer: pl.Trainer, module: Any, stage: str, outputs: Any, batch: Mapping[str, Any]) -> None:
        """Called after each batch, with each task's output."""

    def end(self, trainer: pl.Trainer, module: Any, stage: str) -> None:
        """Called after the last batch; values logged here belong to the split."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        if not trainer.sanity_checking:
            self.begin(trainer, pl_module, "val")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *position: int
    ) -> None:
        """Lightning hook."""
        if not trainer.sanity_checking:
            self.see(trainer, pl_module, "val", outputs, batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        if not trainer.sanity_checking:
            self.end(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        self.begin(trainer, pl_module, "test")

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *position: int
    ) -> None:
        """Lightning hook."""
        self.see(trainer, pl_module, "test", outputs, batch)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        self.end(trainer, pl_module, "test")


def validated(trainer: pl.Trainer) -> bool:
    """Whether the epoch that ends was validated (`trainer.check_val_every_n_epoch`)."""
    return (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0


def due(trainer: pl.Trainer, every: int) -> bool:
    """Returns whether an epoch gets figures: every `every` epochs, and in the last epoch."""
    return trainer.current_epoch % every == 0 or trainer.current_epoch + 1 == trainer.max_epochs
