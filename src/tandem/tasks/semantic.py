"""Which class is each pixel of?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.network.features import FeatureChannels
from tandem.tasks.segmentation import DenseHead
from tandem.tasks.task import Task


class SemanticTask(Task):
    """One class of C for each pixel of a picture, background first; for data whose masks have classes.

    Metrics are told `num_classes` and that 255 is to be ignored. Arguments and errors: `Task`.
    """

    kind: ClassVar[str] = "multiclass"
    target: ClassVar[str] = "mask"
    dense: ClassVar[bool] = True

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

    def make_head(self, channels: FeatureChannels) -> DenseHead:
        """A convolution on the decoder's map."""
        return DenseHead(channels.dense, self.channels)

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """(N, H, W) int64 class indices, 255 where unknown."""
        mask = batch.get(self.target)
        return None if mask is None else mask[:, 0].long()

    def labelled(self, target: Tensor) -> Tensor:
        """Rows with at least one pixel that is not 255."""
        return (target != MISSING_PIXEL).flatten(1).any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes of each pixel."""
        return torch.softmax(logits, dim=1)
