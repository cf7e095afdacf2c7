"""Notices a head that gives probabilities where losses and metrics expect logits."""

import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tandem.callbacks.split import SplitCallback
from tandem.module import MultiTaskModule, Outputs

log = logging.getLogger(__name__)


class LogitsCheck(SplitCallback):
    """Warns, once a task, when every logit of a whole validation or test epoch lies in [0, 1].

    Logits of a trained head have both signs; a sigmoid or softmax at its end would give this range, and then a second
    one inside the losses would make every number wrong without any error. The sanity check does not count.
    """

    def __init__(self) -> None:
        self.ranges: dict[str, Tensor] = {}
        self.warned: set[str] = set()

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Begins anew."""
        self.ranges = {}

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Widens each task's range."""
        for name, output in outputs.items():
            if module.tasks[name].kind not in ("binary", "multiclass"):  # others have no probabilities to mistake
                continue
            low, high = self.ranges.get(name, output.logit_range)
            self.ranges[name] = torch.stack([low.minimum(output.logit_range[0]), high.maximum(output.logit_range[1])])

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Says what it saw."""
        for name, ends in self.ranges.items():
            low, high = ends.tolist()
            if low >= 0 and high <= 1 and name not in self.warned:
                self.warned.add(name)
                log.warning(
                    "task '%s': every logit of a whole epoch lies in [%.3f, %.3f]; these look like probabilities where "
                    "logits belong (a sigmoid or softmax in the head?), so its losses and metrics would be wrong",
                    name, low, high,
                )  # fmt: skip
