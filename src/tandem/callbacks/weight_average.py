"""Averages the weights over training steps; the average is validated, saved and tested."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from tandem.errors import ConfigError


class WeightAverage(WeightAveraging):
    """Keeps an exponential moving average of all weights and batch statistics (Tarvainen and Valpola, 2017).

    After the first step the average a equals the weights w; step t = 1, 2, ... updates it to `d_t * a + (1 - d_t) * w`
    with `d_t = min(decay, (1 + t) / (10 + t))`, so that the random initial weights soon vanish from it. The average is
    validated, the thresholds are chosen for it, and `best.ckpt` stores it; training continues with w.

    Lightning's own callback restores w when a checkpoint is tested after training, so that validation and test would
    use different networks; this one keeps the loaded weights. It runs after the other callbacks, since what they set
    at the end of an epoch belongs to the average. It works in any LightningModule, as the last of the callbacks.

    Args:
        decay: share of the average that a step keeps, in [0, 1); about the last 1 / (1 - decay) steps count.

    Raises:
        ConfigError: if decay is out of range.
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"decay of the weights' average is {decay}, but must be at least 0 and less than 1")
        super().__init__(multi_avg_fn=moving_average(decay))

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook: during training, swaps in the average."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook: during training, swaps the weights back."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_end(trainer, pl_module)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning hook: training resumes from both; an evaluation uses the average, which is already loaded."""
        if trainer.state.fn == "fit":
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


def moving_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Returns a function that updates averages in place from new values and the number of updates so far.

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
            average.copy_(keep * average + (1 - keep) * value)  # lerp_ does not support integers

    return move
