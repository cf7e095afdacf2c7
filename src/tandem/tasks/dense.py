"""Base of the dense tasks, which predict each pixel: a convolution on the decoder's feature map."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from tandem.data.batch import MISSING_PIXEL
from tandem.network.features import FeatureChannels, Features
from tandem.tasks.task import Task


class DenseHead(nn.Module):
    """Applies dropout and one convolution to the decoder's map, and resizes the logits to the image.

    Args:
        channels: of the dense map.
        outputs: number of logits per pixel.
        dropout: share of the channels that is dropped in training, in [0, 1). Whole channels are dropped, since
            neighbouring pixels of a channel are correlated (Tompson et al., 2015).
    """

    def __init__(self, channels: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, features: Features) -> Tensor:
        """Maps `Features` to (N, outputs, H, W) logits."""
        assert features.dense is not None, "a dense task needs a network with a decoder"
        logits: Tensor = self.logits(self.drop(features.dense))
        if logits.shape[-2:] != features.padded:
            logits = F.interpolate(logits, features.padded, mode="bilinear", align_corners=False)
        height, width = features.size
        return logits[..., :height, :width]


class DenseTask(Task):
    """A task that predicts each pixel of an image. Arguments and errors: `Task`."""

    dense: ClassVar[bool] = True

    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """Makes a convolution on the decoder's map."""
        return DenseHead(channels.dense, self.channels, self.dropout)

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows with at least one pixel that is not 255."""
        return (target != MISSING_PIXEL).flatten(1).any(dim=1)
