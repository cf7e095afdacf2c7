"""Tasks with deliberate bugs, to show that the collapse watch detects them. No option of `task` uses them."""

from torch import Tensor, nn

from tandem.network.features import FeatureChannels
from tandem.tasks.segmentation import SegmentationTask


class SigmoidTwiceSegmentation(SegmentationTask):
    """Segmentation with a common bug: the head ends in a sigmoid, and the loss applies a second one.

    Probabilities are used as the head returns them, and look right. The loss sees `sigmoid(sigmoid(z))`, which lies in
    [0.5, 0.73]. So the loss of a pixel is never 0, and the background, which is most of the image, pulls every
    probability towards 0. Used by `experiment=collapse`.
    """

    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """Makes a convolution followed by the erroneous sigmoid."""
        return nn.Sequential(super().make_head(channels), nn.Sigmoid())

    def probabilities(self, logits: Tensor) -> Tensor:
        """Returns the head's outputs unchanged."""
        return logits
