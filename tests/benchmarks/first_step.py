"""A callback that says when the first training step is done, for `bench_start`."""

import sys
import time
from typing import Any

import pytorch_lightning as pl

MARK = "first step at"


class FirstStep(pl.Callback):
    """Writes the time of the end of the first step, as seconds since the epoch, to stderr."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Writes it once, after the optimiser's step."""
        if trainer.global_step == 1:
            sys.stderr.write(f"\n{MARK} {time.time()}\n")
