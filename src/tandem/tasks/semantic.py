"""Which class is each pixel of?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.tasks.dense import DenseTask


class SemanticTask(DenseTask):
    """One class of C for each pixel of a picture, background first; for data whose masks have classes.

    Metrics are told `num_classes` and that 255 is to be ignored. Arguments and errors: `Task`.
    """

    kind: ClassVar[str] = "multiclass"
    target: ClassVar[str] = "mask"

    @property
    def needs(self) -> str:
        """A mask of classes."""
        return "class mask"

    @property
    def channels(self) -> int:
        """One logit for each class."""
        return len(self.data.mask_classes)

    @property
    def class_names(self) -> Sequence[str]:
        """The data set's names."""
        return self.data.mask_classes

    def metric_arguments(self) -> dict[str, Any]:
        """The number of classes, and which pixels are unknown."""
        return {"num_classes": self.channels, "ignore_index": MISSING_PIXEL}

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """(N, H, W) int64 class indices, 255 where unknown."""
        mask = batch.get(self.target)
        return None if mask is None else mask[:, 0].long()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes of each pixel."""
        return torch.softmax(logits, dim=1)
