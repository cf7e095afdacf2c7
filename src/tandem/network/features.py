"""The output of a network, and the input of a task's head."""

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """Shared features of a batch.

    Attributes:
        deep: (N, D, h, w), the deepest map of the backbone.
        dense: (N, E, H', W'), the map of the decoder, or None if no task needs one.
        padded: height and width covered by the dense map; at least those of the image.
        size: height and width of the images.
    """

    deep: Tensor
    dense: Tensor | None
    padded: tuple[int, int]
    size: tuple[int, int]


class FeatureChannels(NamedTuple):
    """Channels of `Features.deep` and `Features.dense`; the latter is 0 without a decoder."""

    deep: int
    dense: int
