"""The shared network: one pass through the backbone for all tasks."""

from collections.abc import Sequence
from math import inf
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tandem.network.feature_cache import FeatureCache
from tandem.network.features import FeatureChannels, Features


class Network(nn.Module):
    """Maps images to shared features.

    Images are normalised with the backbone's statistics, padded at the right and bottom by replicating the edge to a
    multiple of the backbone's stride, and passed through the backbone once. Maps use the channels-last memory format,
    with which convolutions run a third to a half faster, both on two CPU cores and on GPUs with mixed precision.

    A frozen encoder gets no gradient and stays in evaluation mode: its batch statistics do not change, and its dropout
    and stochastic depth are off. Batch statistics do not change either in an encoder of which only a part is trained,
    such as adapters.

    Args:
        encoder: backbone with the interface of segmentation-models-pytorch: has `out_channels` and `output_stride`,
            and returns a list of maps.
        decoder: maps that list to one dense map, or None.
        dense_channels: channels of the dense map.
        mean: mean of the normalisation, one value per image channel, for images in [0, 1].
        std: standard deviation, likewise.
        dropout: share of the deepest map's channels that is dropped in training, for both decoder and heads, in
            [0, 1). Whole channels are dropped, since neighbouring pixels of a channel are correlated.
        first_epoch: the epoch, counted from 0, in which training of the encoder starts; infinity: never. Until then
            its parameters get no gradient; the optimiser holds them already, unless this is infinity. Parameters that
            need no gradient from the start, those below adapters, never get one.
        cache: calls an encoder that is never trained, once for each image; None: it is called for each batch.
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
        cache: FeatureCache | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.first_epoch = first_epoch
        self.frozen = first_epoch > 0
        needs = {name: parameter.requires_grad for name, parameter in encoder.named_parameters()}
        self.trained = {name for name, need in needs.items() if need}
        self.partly = 0 < len(self.trained) < len(needs)
        if first_epoch == inf:
            encoder.requires_grad_(False)
        self.cache = cache
        self.drop = nn.Dropout2d(dropout)
        self.decoder = decoder
        self.channels = FeatureChannels(int(encoder.out_channels[-1]), dense_channels)  # type: ignore[index]
        self.stride = max(int(encoder.output_stride), 2 ** (len(encoder.out_channels) - 1))  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.to(memory_format=torch.channels_last)

    def begin_epoch(self, epoch: int) -> None:
        """Freezes or unfreezes the encoder for an epoch of training, counted from 0."""
        if self.first_epoch > 0:
            self.frozen = epoch < self.first_epoch
            for name, parameter in self.encoder.named_parameters():
                parameter.requires_grad_(not self.frozen and name in self.trained)
            self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Sets training or evaluation mode; what is frozen of the encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        elif self.partly:
            for part in self.encoder.modules():
                if isinstance(part, _BatchNorm):
                    part.eval()
        return self

    def prepare(self, image: Tensor) -> Tensor:
        """Maps (N, C, H, W) images in [0, 1] to what the encoder takes: normalised and padded."""
        height, width = image.shape[-2:]
        image = (image - self.mean) / self.std
        image = F.pad(image, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        return image.contiguous(memory_format=torch.channels_last)

    def levels(self, image: Tensor) -> list[Tensor]:
        """The encoder's maps of prepared images, computed or kept."""
        return self.encoder(image) if self.cache is None else self.cache(self.encoder, self.decoder, image)

    def forward(self, image: Tensor) -> Features:
        """Maps (N, C, H, W) images in [0, 1] to `Features`."""
        height, width = image.shape[-2:]
        image = self.prepare(image)
        *levels, deepest = self.levels(image)
        pyramid = [*levels, self.drop(deepest)]
        dense = None if self.decoder is None else self.decoder(pyramid)
        return Features(pyramid[-1], dense, (image.shape[-2], image.shape[-1]), (height, width))
