"""A simple feature pyramid: levels of several strides from the one map of a plain vision transformer."""

from collections.abc import Sequence
from math import log2

import torch
from timm.layers import LayerNorm2d
from torch import Tensor, nn

FINEST = 4
"""Stride of the finest level in the paper; decoders that need one of stride 2 get it too."""


def nominal_stride(patch: int) -> int:
    """The power of 2 that is nearest to a patch's side: levels are made in steps of 2 from there.

    Example:
        >>> nominal_stride(16), nominal_stride(14), nominal_stride(8)
        (16, 16, 8)
    """
    return int(2 ** round(log2(patch)))


def level_strides(depth: int, deepest: int) -> tuple[int, ...]:
    """Strides of an encoder's levels, the image first; a dilated one repeats its last stride.

    Example:
        >>> level_strides(5, 32), level_strides(5, 8)
        ((1, 2, 4, 8, 16, 32), (1, 2, 4, 8, 8, 8))
    """
    return tuple(min(2**level, deepest) for level in range(depth + 1))


class FeaturePyramid(nn.Module):
    """Makes each level from the last map of the transformer alone, by deconvolution or pooling.

    Level of stride s from a map of stride p: log2(p / s) deconvolutions of 2x2 with stride 2 (each halves the channels;
    layer normalisation and GELU between them), nothing, or log2(s / p) poolings of 2x2; then a 1x1 and a 3x3
    convolution, each with layer normalisation over channels. A level of 0 channels stays empty.

    Args:
        width: channels D of the map.
        stride: stride of the map, a power of 2; see `nominal_stride`.
        channels: channels of each level, the image first; the image passes as it is.
        strides: stride of each level, the image first.

    Shapes:
        map: (N, D, h, w); result: a list of the image and (N, channels[i], h * stride / strides[i], ...).

    Source: Li, Mao, Girshick and He, Exploring Plain Vision Transformer Backbones for Object Detection, 2022, which has
    the strides 4, 8, 16 and 32; the one of stride 2 is ours.

    Example:
        >>> pyramid = FeaturePyramid(64, 16, (1, 0, 8, 8, 8, 8), (1, 2, 4, 8, 16, 32))
        >>> [tuple(level.shape[1:]) for level in pyramid(torch.zeros(1, 1, 64, 64), torch.zeros(1, 64, 4, 4))]
        [(1, 64, 64), (0, 32, 32), (8, 16, 16), (8, 8, 8), (8, 4, 4), (8, 2, 2)]
    """

    def __init__(self, width: int, stride: int, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.factors = [stride / one for one in strides[1:]]
        self.levels = nn.ModuleList(
            _level(width, count, factor) if count else nn.Identity()
            for count, factor in zip(channels[1:], self.factors, strict=True)
        )
        self.filled = [count > 0 for count in channels[1:]]

    def forward(self, image: Tensor, found: Tensor) -> list[Tensor]:
        """Returns the levels, the image first."""
        rows, columns = found.shape[-2:]
        levels = [image]
        for level, factor, filled in zip(self.levels, self.factors, self.filled, strict=True):
            if filled:
                levels.append(level(found))
            else:
                up, down = max(1, int(factor)), max(1, int(1 / factor))  # a float would be rounded wrongly in ONNX
                levels.append(found.new_empty(found.shape[0], 0, rows * up // down, columns * up // down))
        return levels


class OnPyramid(nn.Module):
    """A decoder of several levels on a plain vision transformer, with the pyramid between them.

    Args:
        pyramid: makes the levels.
        decoder: maps the list of levels to one dense map.
    """

    def __init__(self, pyramid: FeaturePyramid, decoder: nn.Module) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.decoder = decoder

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Maps the list of `PlainTransformer` to one dense map."""
        return torch.as_tensor(self.decoder(self.pyramid(levels[0], levels[-1])))


def _level(width: int, channels: int, factor: float) -> nn.Sequential:
    """One level of the pyramid; `factor` is how much larger it is than the map."""
    steps: list[nn.Module] = []
    ups, downs = max(0, round(log2(factor))), max(0, -round(log2(factor)))
    for step in range(ups):
        half = max(1, width // 2)
        steps += [nn.ConvTranspose2d(width, half, 2, stride=2)]
        width = half
        if step < ups - 1:
            steps += [LayerNorm2d(width), nn.GELU()]
    steps += [nn.MaxPool2d(2)] * downs
    return nn.Sequential(
        *steps,
        nn.Conv2d(width, channels, 1, bias=False),
        LayerNorm2d(channels),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        LayerNorm2d(channels),
    )
