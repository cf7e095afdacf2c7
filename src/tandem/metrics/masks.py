"""Base of the metrics of thresholded masks, with an explicit policy for empty masks."""

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from tandem.errors import ConfigError
from tandem.metrics.bins import MISSING, by_channel

Empty = Literal["skip", "score"]


class MaskMetric(Metric):
    """Base of metrics that compare a predicted mask with the true one, image by image.

    They take masks, not probabilities, so they are computed only when the threshold is final: in evaluation, not during
    training. A subclass defines the score of one image with a lesion.

    Shapes:
        predicted: (N, C, H, W), bool.
        target: the same shape; 0, 1, or 255 where it is missing.

    A pixel marked 255 is background in both masks; an image of 255 only is left out.

    Args:
        empty: an image without lesion is left out (`skip`), or scores `perfect` if nothing is predicted and `worst`
            otherwise (`score`).

    Attributes:
        perfect: the score of a perfect mask.
        needs_mask: whether tasks pass masks instead of probabilities.

    Raises:
        ConfigError: an unknown policy.
    """

    full_state_update = False
    needs_mask: ClassVar[bool] = True
    perfect: ClassVar[float]
    total: Tensor
    images: Tensor

    def __init__(self, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(**options)
        if empty not in get_args(Empty):
            raise ConfigError(f"empty is '{empty}', but must be one of {', '.join(get_args(Empty))}")
        self.empty = empty
        self.for_channels(1)

    def for_channels(self, channels: int) -> None:
        """Reset the state for this number of channels, which the task sets."""
        self.add_state("total", torch.zeros(channels, dtype=torch.float64), "sum")
        self.add_state("images", torch.zeros(channels, dtype=torch.int64), "sum")

    def score(self, predicted: Tensor, truth: Tensor) -> float:
        """The score of one image with a lesion.

        Args:
            predicted: (H, W), bool.
            truth: (H, W), bool, not empty.
        """
        raise NotImplementedError(f"{type(self).__name__} needs `score`")

    def worst(self, height: int, width: int) -> float:
        """The score of a mask predicted where there is no lesion, under `empty=score`."""
        raise NotImplementedError(f"{type(self).__name__} needs `worst`")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        scores = [
            [score for pair in zip(masks, truths, strict=True) if (score := self._image(*pair)) is not None]
            for masks, truths in zip(predicted.unbind(1), target.unbind(1), strict=True)
        ]
        self.total = self.total + self.total.new_tensor([sum(channel) for channel in scores])
        self.images = self.images + self.images.new_tensor([len(channel) for channel in scores])

    def compute(self) -> Tensor:
        """The mean over images, a scalar or (C,); nan without any."""
        return by_channel((self.total / self.images).float())

    def _image(self, predicted: Tensor, target: Tensor) -> float | None:
        known = target != MISSING
        truth, drawn = target == 1, predicted & known
        if truth.any():
            return self.score(drawn, truth)
        if self.empty == "skip" or not known.any():
            return None
        height, width = target.shape
        return self.worst(height, width) if drawn.any() else self.perfect
