"""Confusion matrices of multiclass tasks, for trackers and `results.json`."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from torchmetrics.classification import MulticlassConfusionMatrix

from tandem.callbacks.split import SplitCallback
from tandem.distributed.gather import is_distributed
from tandem.distributed.metric_states import told_by_all
from tandem.module import MultiTaskModule, Outputs


class Confusion(SplitCallback):
    """Counts a confusion matrix over each split, of images or, for dense tasks, of pixels.

    Attributes:
        matrices: by `<stage>/<task>`, of the last split: `classes`, and `counts`, whose rows are the true classes.
    """

    def __init__(self) -> None:
        self.counters: dict[str, MulticlassConfusionMatrix] = {}
        self.matrices: dict[str, dict[str, Any]] = {}

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Resets the counts."""
        self.counters = {
            name: MulticlassConfusionMatrix(
                task.channels,
                ignore_index=task.target_kind.ignore_index,
                validate_args=False,
                distributed_available_fn=is_distributed,
            ).to(module.device)
            for name, task in module.tasks.items()
            if task.target_kind.exclusive
        }

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Counts a batch."""
        for name, counter in self.counters.items():
            if name in outputs:
                counter.update(outputs[name].probabilities, outputs[name].target)

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Stores the counts."""
        seen, _ = told_by_all(self.counters)
        for name, counter in self.counters.items():
            if name in seen:
                counts = counter.compute().tolist()
                self.matrices[f"{stage}/{name}"] = {"classes": list(module.tasks[name].class_names), "counts": counts}
