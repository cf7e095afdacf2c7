"""Leaves new memory as it is after the first training step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch.utils.deterministic

SETTINGS: Any = torch.utils.deterministic  # a module whose attribute is a property, which stubs do not know


class Unfilled(pl.Callback):
    """Ends torch's filling of new tensors with nan after the first training step of a process.

    With deterministic algorithms torch fills each new tensor before it is computed, which takes a seventh of a step:
    code that reads memory before it writes then gets nan rather than what is there by chance. All other code gives the
    same numbers without it, bit for bit. The checks before training and the first step are filled, so a part of the
    user's own that reads such memory still ends the run there, with the name of the layer.

    Source: the notes on `torch.use_deterministic_algorithms`, which say that programs that are valid may switch it off.
    """

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Lightning hook."""
        SETTINGS.fill_uninitialized_memory = False


@contextmanager
def filled_again() -> Iterator[None]:
    """Afterwards, torch fills new tensors as before."""
    before = SETTINGS.fill_uninitialized_memory
    try:
        yield
    finally:
        SETTINGS.fill_uninitialized_memory = before
