"""A network: three convolutions, no backbone and no decoder of tandem's."""

import itertools

from torch import Tensor, nn

from tandem.network import FeatureChannels, Features


class ThreeLayers(nn.Module):
    """Full resolution throughout; the last map serves every task.

    Args:
        channels: of an image.
        dense: whether a task needs a map; this network always has one.
        width: of each layer.
    """

    stride = 1

    def __init__(self, channels: int, dense: bool, width: int = 8) -> None:
        super().__init__()
        widths = (channels, width, width, width)
        layers = [nn.Conv2d(one, two, 3, padding=1) for one, two in itertools.pairwise(widths)]
        self.encoder = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        self.channels = FeatureChannels(deep=width, dense=width)

    def forward(self, image: Tensor) -> Features:
        """(N, C, H, W) images in [0, 1] to features."""
        found = self.encoder(2 * image - 1)
        size = (image.shape[-2], image.shape[-1])
        return Features(deep=found, dense=found, padded=size, size=size)
