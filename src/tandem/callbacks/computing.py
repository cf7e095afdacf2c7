"""Keeps how a run computes in its checkpoints."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from tandem.utils.artifacts import COMPUTING_KEY


class KeepComputing(pl.Callback):
    """Writes the settings that `performance` has chosen into every checkpoint, so that a run that goes on keeps them.

    Args:
        setting: as plain values.
    """

    def __init__(self, setting: Mapping[str, Any]) -> None:
        self.setting = dict(setting)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning hook."""
        checkpoint[COMPUTING_KEY] = self.setting
