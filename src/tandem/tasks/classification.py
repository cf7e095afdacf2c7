"""The classification task: which class is it?"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_LABEL
from tandem.tasks.pooled import PooledTask


class ClassificationTask(PooledTask):
    """Predicts one of C classes per image. Metrics get `num_classes`. Arguments and errors: `PooledTask`."""

    kind: ClassVar[str] = "multiclass"
    target: ClassVar[str] = "label"

    @property
    def channels(self) -> int:
        """One logit per class."""
        return len(self.data.classes)

    @property
    def class_names(self) -> Sequence[str]:
        """The class names of the data set."""
        return self.data.classes

    def metric_arguments(self) -> dict[str, Any]:
        """Returns the number of classes."""
        return {"num_classes": self.channels}

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows whose label is not -100."""
        return target != MISSING_LABEL

    def probabilities(self, logits: Tensor) -> Tensor:
        """Applies softmax over the classes."""
        return torch.softmax(logits, dim=1)
