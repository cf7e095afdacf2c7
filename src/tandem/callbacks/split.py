"""What callbacks that watch a whole split share: begin, see every batch, end."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from tandem.module import MultiTaskModule, Outputs


class SplitCallback(pl.Callback):
    """A callback over validation and test splits, as three hooks instead of Lightning's six.

    `stage` is `val` or `test`. The sanity check before training is no split: it calls none of them.
    """

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Before the first batch of a split."""

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """After each batch, with each task's output."""

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """After the last batch; what is logged here belongs to the split."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning's hook."""
        if not trainer.sanity_checking:
            self.begin(trainer, _ours(pl_module), "val")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *position: int
    ) -> None:
        """Lightning's hook."""
        if not trainer.sanity_checking:
            self.see(trainer, _ours(pl_module), "val", outputs, batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning's hook."""
        if not trainer.sanity_checking:
            self.end(trainer, _ours(pl_module), "val")

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning's hook."""
        self.begin(trainer, _ours(pl_module), "test")

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *position: int
    ) -> None:
        """Lightning's hook."""
        self.see(trainer, _ours(pl_module), "test", outputs, batch)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning's hook."""
        self.end(trainer, _ours(pl_module), "test")


def validated(trainer: pl.Trainer) -> bool:
    """Whether the epoch that ends was validated (`trainer.check_val_every_n_epoch`)."""
    return (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0


def due(trainer: pl.Trainer, every: int) -> bool:
    """Whether pictures are wanted of an epoch: of every few, and of the last."""
    return trainer.current_epoch % every == 0 or trainer.current_epoch + 1 == trainer.max_epochs


def _ours(module: pl.LightningModule) -> MultiTaskModule:
    assert isinstance(module, MultiTaskModule)
    return module
