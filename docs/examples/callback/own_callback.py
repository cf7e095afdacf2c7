"""A callback: counts the batches of training and logs their number."""

from typing import Any

import pytorch_lightning as pl


class CountBatches(pl.Callback):
    """Logs `own/batches` at each epoch's end."""

    def __init__(self) -> None:
        self.batches = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """One more."""
        self.batches += 1
        if trainer.is_last_batch:
            pl_module.log("own/batches", float(self.batches))
