"""What a module logs of its steps, at the least cost: each call takes as long as a small layer of a network."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl


def shows_step(trainer: pl.Trainer) -> bool:
    """Whether this step's values are seen: by trackers every few steps, by a progress bar, or as the epoch's last."""
    bar = trainer.progress_bar_callback
    watched = bar is not None and getattr(bar, "is_enabled", True)
    due = trainer._logger_connector.should_update_logs  # Lightning's own count, which its loggers follow
    return due or trainer.is_last_batch or watched


def log_mean(module: pl.LightningModule, values: Mapping[str, Any]) -> None:
    """Logs the means over the epoch of values of a step, if there are any."""
    if values:
        module.log_dict(values, on_step=False, on_epoch=True, batch_size=1)
