"""Base class of callbacks that process a whole split: begin, see every batch, end."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from tandem.module import MultiTaskModule, Outputs


class SplitCallback(pl.Callback):
    """A callback over the validation and test splits, with three hooks instead of Lightning's six.

    `stage` is `val` or `test`. The sanity check before training calls none of the hooks.
    """

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Called before the first batch of a split."""

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Called after each batch, with each task's output."""

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Called after the last batch; values logged here belong to the split."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        if not trainer.sanity_checking:
            self.begin(trainer, _ours(pl_module), "val")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *position: int
    ) -> None:
        """Lightning hook."""
        if not trainer.sanity_checking:
            self.see(trainer, _ours(pl_module), "val", outputs, batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        if not trainer.sanity_checking:
            self.end(trainer, _ours(pl_module), "val")

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        self.begin(trainer, _ours(pl_module), "test")

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *position: int
    ) -> None:
        """Lightning hook."""
        self.see(trainer, _ours(pl_module), "test", outputs, batch)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        self.end(trainer, _ours(pl_module), "test")


def validated(trainer: pl.Trainer) -> bool:
    """Whether the epoch that ends was validated (`trainer.check_val_every_n_epoch`)."""
    return (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0


def due(trainer: pl.Trainer, every: int) -> bool:
    """Returns whether an epoch gets figures: every `every` epochs, and in the last epoch."""
    return trainer.current_epoch % every == 0 or trainer.current_epoch + 1 == trainer.max_epochs


def _ours(module: pl.LightningModule) -> MultiTaskModule:
    assert isinstance(module, MultiTaskModule)
    return module
