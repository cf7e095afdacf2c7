"""A decoder: two levels of the encoder, added (a feature pyramid of two steps; Lin et al., 2017)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class TwoLevels(nn.Module):
    """Maps the levels at the strides 4 and 32 to one width and adds them at stride 4.

    Args:
        channels: of each level of the encoder; 0 where there is none.
        strides: of each level.
        width: channels of the map that the heads see.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], width: int = 16) -> None:
        super().__init__()
        self.out_channels = width
        self.levels = [strides.index(4), strides.index(32)]
        self.mix = nn.ModuleList(nn.Conv2d(channels[level], width, 1) for level in self.levels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The encoder's maps to one map, (N, width, H / 4, W / 4)."""
        fine, coarse = (layer(maps[level]) for layer, level in zip(self.mix, self.levels, strict=True))
        added: Tensor = F.interpolate(coarse, fine.shape[-2:], mode="bilinear") + fine
        return added
