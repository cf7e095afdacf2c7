"""A callback that says when the first training step is done, and when the process begins to end, for `bench_start`."""

import atexit
import sys
import time
from typing import Any

import pytorch_lightning as pl

FIRST, ENDS = "first step at", "ends at"


def say(what: str) -> None:
    """Writes what has happened and the time, as seconds since the epoch, to stderr."""
    sys.stderr.write(f"\n{what} {time.time()}\n")


class FirstStep(pl.Callback):
    """Says both, each in a line of its own."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Says it once, after the optimiser's step."""
        if trainer.global_step == 1:
            say(FIRST)
            atexit.register(say, ENDS)  # called before the functions that were registered earlier
