"""Where is it?"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tandem.data.batch import MISSING_PIXEL
from tandem.network.features import FeatureChannels, Features
from tandem.tasks.task import Task


class DenseHead(nn.Module):
    """One convolution on the dense map, brought to the size of the picture.

    Args:
        channels: of the dense map.
        outputs: logits for one pixel.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, features: Features) -> Tensor:
        """`Features` to (N, outputs, H, W) logits."""
        assert features.dense is not None, "a dense task needs a network with a decoder"
        logits: Tensor = self.logits(features.dense)
        if logits.shape[-2:] != features.padded:
            logits = F.interpolate(logits, features.padded, mode="bilinear", align_corners=False)
        height, width = features.size
        return logits[..., :height, :width]


class SegmentationTask(Task):
    """Foreground or not, for each pixel of a picture.

    The threshold is found on validation data by the threshold sweep and applied everywhere else.
    """

    kind: ClassVar[str] = "binary"
    target: ClassVar[str] = "mask"
    dense: ClassVar[bool] = True

    @property
    def channels(self) -> int:
        """One yes/no question."""
        return 1

    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """A convolution on the decoder's map."""
        return DenseHead(channels.dense, self.channels)

    def labelled(self, target: Tensor) -> Tensor:
        """Rows with at least one pixel that is not 255."""
        return (target != MISSING_PIXEL).flatten(1).any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoid for each pixel."""
        return torch.sigmoid(logits)
