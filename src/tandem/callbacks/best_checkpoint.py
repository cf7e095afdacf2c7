"""Saves the best and the last checkpoint of a run, also after the run's folder was moved."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from tandem.callbacks.split import validated
from tandem.utils import signals
from tandem.utils.artifacts import LAST, SCHEMA, SCHEMA_KEY, check_schema


class BestCheckpoint(ModelCheckpoint):
    """Saves `best.ckpt`, chosen by the monitored value, and `last.ckpt` after each epoch.

    Lightning's own callback saves the last checkpoint only in epochs that are the best so far, so a run that is killed
    on a plateau would resume at its start. It also loses the best value when a run resumes in a renamed folder, and
    would then overwrite the best checkpoint with a worse one. This callback resolves all paths in its own folder.

    Args:
        folder: where both checkpoints are saved.
        monitor: the logged value that selects the best epoch.
        mode: `min` or `max`.
    """

    def __init__(self, folder: str | Path, monitor: str, mode: str) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook: saves the best checkpoint if this epoch is the best, then the last one."""
        if validated(trainer):  # else Lightning would judge the epoch by the values of an earlier one
            super().on_train_epoch_end(trainer, pl_module)
        trainer.save_checkpoint(Path(self.dirpath or "") / LAST)
        signals.release()  # one that waited for the checkpoint

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores a state, wherever the folder was when it was saved."""
        here = {key: self._here(value) if key.endswith("_path") else value for key, value in state_dict.items()}
        here["best_k_models"] = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**here, "dirpath": self.dirpath})

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook: names the version of what a checkpoint holds."""
        checkpoint[SCHEMA_KEY] = SCHEMA

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook: refuses a checkpoint of a later tandem."""
        check_schema(checkpoint.get(SCHEMA_KEY), Path(str(trainer.ckpt_path)))

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name) if path else path
