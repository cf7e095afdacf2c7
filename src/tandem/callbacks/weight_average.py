"""Weights averaged over training steps, which are what is validated, kept and tested."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from tandem.errors import ConfigError


class WeightAverage(WeightAveraging):
    """An exponential moving average of all weights and statistics (Tarvainen and Valpola 2017).

    The average a is w, the weights, after the first step; step t = 1, 2, ... makes it `d_t * a + (1 - d_t) * w` with
    `d_t = min(decay, (1 + t) / (10 + t))`, so that the random weights of the start are soon forgotten. The average is
    what is validated, what the thresholds are chosen for, and what `best.ckpt` holds; training goes on with w.

    Lightning's own brings w back when a checkpoint is tested after training, so that validation and test would tell of
    two different networks; this one leaves what was loaded. It stands behind the other callbacks, since what they set
    at an epoch's end belongs to the average.

    Args:
        decay: share of the average that a step leaves, in [0, 1); the last 1 / (1 - decay) steps count.

    Raises:
        ConfigError: decay out of range.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"decay of the weights' average is {decay}, but must be at least 0 and less than 1")
        super().__init__(multi_avg_fn=moving_average(decay))

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning's hook: in training the average takes the weights' place."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning's hook: in training the weights are put back."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_end(trainer, pl_module)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook: training goes on from both; an evaluation wants the average, which is loaded already."""
        if trainer.state.fn == "fit":
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


def moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """What moves averages in place, given them, the new values and the number of values so far.

    Example:
        >>> import torch
        >>> average, new = torch.tensor(0.0), torch.tensor(1.0)
        >>> moving_average(0.5)([average], [new], 100)
        >>> average
        tensor(0.5000)
    """

    def move(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        for average, value in zip(averages, values, strict=True):
            average.copy_(keep * average + (1 - keep) * value)  # not lerp_, which has no whole numbers

    return move
