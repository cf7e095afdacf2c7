"""What tasks about each pixel share: a convolution on the decoder's map."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from tandem.data.batch import MISSING_PIXEL
from tandem.network.features import FeatureChannels, Features
from tandem.tasks.task import Task


class DenseHead(nn.Module):
    """Drops out, and maps the dense map to logits by one convolution, resized to the image.

    Args:
        channels: of the dense map.
        outputs: logits for one pixel.
        dropout: share of the channels that is dropped in training, in [0, 1); whole channels, since the pixels of one
            are much alike (Tompson et al., 2015).
    """

    def __init__(self, channels: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, features: Features) -> Tensor:
        """`Features` to (N, outputs, H, W) logits."""
        assert features.dense is not None, "a dense task needs a network with a decoder"
        logits: Tensor = self.logits(self.drop(features.dense))
        if logits.shape[-2:] != features.padded:
            logits = F.interpolate(logits, features.padded, mode="bilinear", align_corners=False)
        height, width = features.size
        return logits[..., :height, :width]


class DenseTask(Task):
    """A question about each pixel of an image. Arguments and errors: `Task`."""

    dense: ClassVar[bool] = True

    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """A convolution on the decoder's map."""
        return DenseHead(channels.dense, self.channels, self.dropout)

    def labelled(self, target: Tensor) -> Tensor:
        """Rows with at least one pixel that is not 255."""
        return (target != MISSING_PIXEL).flatten(1).any(dim=1)
