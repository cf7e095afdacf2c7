"""Tasks that are wrong on purpose, to show what happens and that it is noticed. No option of `task` leads here."""

from torch import Tensor, nn

from tandem.network.features import FeatureChannels
from tandem.tasks.segmentation import SegmentationTask


class SigmoidTwiceSegmentation(SegmentationTask):
    """Segmentation whose head ends in a sigmoid, while its loss applies a second one: the commonest fault of all.

    Probabilities are taken as the head gives them, and look right. The loss sees `sigmoid(sigmoid(z))`, which lies in
    [0.5, 0.73]: no pixel can cost nothing, and the background, which is most of the picture, pulls every probability
    to 0. It exists for `experiment=collapse`.
    """

    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """A convolution, and the sigmoid that does not belong here."""
        return nn.Sequential(super().make_head(channels), nn.Sigmoid())

    def probabilities(self, logits: Tensor) -> Tensor:
        """What the head gives."""
        return logits
