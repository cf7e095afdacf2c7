"""The semantic segmentation task: which class does each pixel belong to?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.tasks.dense import DenseTask


class SemanticTask(DenseTask):
    """Predicts one of C classes per pixel, background first; for data whose masks have classes.

    Metrics get `num_classes` and `ignore_index=255`. Arguments and errors: `Task`.
    """

    kind: ClassVar[str] = "multiclass"
    target: ClassVar[str] = "mask"

    @property
    def needs(self) -> str:
        """A mask whose values are classes."""
        return "class mask"

    @property
    def channels(self) -> int:
        """One logit per class."""
        return len(self.data.mask_classes)

    @property
    def class_names(self) -> Sequence[str]:
        """The class names of the data set."""
        return self.data.mask_classes

    def metric_arguments(self) -> dict[str, Any]:
        """Returns the number of classes, and the value of unknown pixels."""
        return {"num_classes": self.channels, "ignore_index": MISSING_PIXEL}

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Returns (N, H, W) int64 class indices, 255 where unknown."""
        mask = batch.get(self.target)
        return None if mask is None else mask[:, 0].long()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Applies softmax over the classes of each pixel."""
        return torch.softmax(logits, dim=1)
