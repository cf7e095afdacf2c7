"""The shared network: one pass through the backbone serves every task."""

from collections.abc import Sequence
from math import inf
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tandem.network.features import FeatureChannels, Features


class Network(nn.Module):
    """Pictures to shared features.

    Pictures are normalised with the backbone's own statistics, padded at the right and bottom by repeating the edge
    until the backbone's stride divides them, and passed through the backbone once. Maps lie channels-last in memory,
    with which convolutions run a third to a half faster, on two CPU cores as on GPUs with mixed precision.

    An encoder that is held still has no gradient and stays in evaluation mode: its batch statistics, dropout and
    stochastic depth rest too.

    Args:
        encoder: backbone in the manner of segmentation-models-pytorch: `out_channels`, `output_stride`, a list of maps.
        decoder: takes that list and gives one dense map, or None.
        dense_channels: channels of that map.
        mean: of the normalisation, one for each image channel, in units of the grey range [0, 1].
        std: likewise.
        dropout: share of the deepest map's channels that is dropped in training, for decoder and heads alike, in
            [0, 1); whole channels, since the pixels of one are much alike.
        first_epoch: in which the encoder begins to learn, counted from 0; infinity where it never does. Until then its
            parameters are known to the optimiser, unless it is infinity, and get no gradient.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module | None,
        dense_channels: int,
        mean: Sequence[float],
        std: Sequence[float],
        dropout: float = 0.0,
        first_epoch: float = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.first_epoch = first_epoch
        self.still = first_epoch > 0
        if first_epoch == inf:
            encoder.requires_grad_(False)
        self.drop = nn.Dropout2d(dropout)
        self.decoder = decoder
        self.channels = FeatureChannels(int(encoder.out_channels[-1]), dense_channels)  # type: ignore[index]
        self.stride = max(int(encoder.output_stride), 2 ** (len(encoder.out_channels) - 1))  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.to(memory_format=torch.channels_last)

    def begin_epoch(self, epoch: int) -> None:
        """Holds the encoder still or lets it learn, as an epoch of training, counted from 0, wants it."""
        if self.first_epoch > 0:
            self.still = epoch < self.first_epoch
            self.encoder.requires_grad_(not self.still)
            self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; an encoder that is held still has only the latter."""
        super().train(mode)
        if self.still:
            self.encoder.eval()
        return self

    def forward(self, image: Tensor) -> Features:
        """(N, C, H, W) images in [0, 1] to `Features`."""
        height, width = image.shape[-2:]
        image = (image - self.mean) / self.std
        image = F.pad(image, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        image = image.contiguous(memory_format=torch.channels_last)
        *levels, deepest = self.encoder(image)
        pyramid = [*levels, self.drop(deepest)]
        dense = None if self.decoder is None else self.decoder(pyramid)
        return Features(pyramid[-1], dense, (image.shape[-2], image.shape[-1]), (height, width))
