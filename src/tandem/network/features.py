"""What a network gives and what a task's head may use."""

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """Shared features of a batch.

    Attributes:
        deep: (N, D, h, w), the backbone's deepest map.
        dense: (N, E, H', W'), the decoder's map, or None where no task needs one.
        padded: height and width that the dense map covers; at least the picture's.
        size: height and width of the pictures.
    """

    deep: Tensor
    dense: Tensor | None
    padded: tuple[int, int]
    size: tuple[int, int]


class FeatureChannels(NamedTuple):
    """Channels of `Features.deep` and `Features.dense`; the latter is 0 without a decoder."""

    deep: int
    dense: int
