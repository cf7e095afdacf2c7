"""Which class is it?"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_LABEL
from tandem.tasks.pooled import PooledTask


class ClassificationTask(PooledTask):
    """One class of C for each picture. Metrics are told `num_classes`. Arguments and errors: `PooledTask`."""

    kind: ClassVar[str] = "multiclass"
    target: ClassVar[str] = "label"

    @property
    def channels(self) -> int:
        """One logit for each class."""
        return len(self.data.classes)

    @property
    def class_names(self) -> Sequence[str]:
        """The data set's names."""
        return self.data.classes

    def metric_arguments(self) -> dict[str, Any]:
        """The number of classes."""
        return {"num_classes": self.channels}

    def labelled(self, target: Tensor) -> Tensor:
        """Rows whose label is not -100."""
        return target != MISSING_LABEL

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes."""
        return torch.softmax(logits, dim=1)
