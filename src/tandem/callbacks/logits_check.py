"""Notices a head that gives probabilities where losses and metrics expect logits."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)


class LogitsCheck(pl.Callback):
    """Warns, once a task, when every logit of a whole validation epoch lies in [0, 1].

    Logits of a trained head have both signs; a sigmoid or softmax at its end would give this range, and then a second
    one inside the losses would make every number wrong without any error. The sanity check does not count.
    """

    def __init__(self) -> None:
        self.ranges: dict[str, Tensor] = {}
        self.warned: set[str] = set()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins anew."""
        self.ranges = {}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Widens each task's range."""
        assert isinstance(pl_module, MultiTaskModule)
        for name, output in outputs.items():
            if pl_module.tasks[name].kind not in ("binary", "multiclass"):  # others have no probabilities to mistake
                continue
            low, high = self.ranges.get(name, output.logit_range)
            self.ranges[name] = torch.stack([low.minimum(output.logit_range[0]), high.maximum(output.logit_range[1])])

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says what it saw."""
        if trainer.sanity_checking:
            return
        for name, ends in self.ranges.items():
            low, high = ends.tolist()
            if low >= 0 and high <= 1 and name not in self.warned:
                self.warned.add(name)
                log.warning(
                    "task '%s': every logit of a whole epoch lies in [%.3f, %.3f]; these look like probabilities where "
                    "logits belong (a sigmoid or softmax in the head?), so its losses and metrics would be wrong",
                    name, low, high,
                )  # fmt: skip
