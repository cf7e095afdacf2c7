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

    A metric with a unit (`needs_spacing`) is in millimetres if the size of pixels is known in the data set, else in
    pixels. If it is known for some images only, the mean is nan as soon as an image without it counts.

    Args:
        empty: an image without lesion is left out (`skip`), or scores `perfect` if nothing is predicted and `worst`
            otherwise (`score`).

    Attributes:
        perfect: the score of a perfect mask.
        needs_mask: whether tasks pass masks instead of probabilities.
        needs_spacing: whether tasks pass the size of the pixels too; `score` and `worst` then take `size`, their height
            and width, nan where unknown.

    Raises:
        ConfigError: an unknown policy.
    """

    full_state_update = False
    needs_mask: ClassVar[bool] = True
    needs_spacing: ClassVar[bool] = False
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

    def update(self, predicted: Tensor, target: Tensor, spacing: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            predicted: see the class.
            target: see the class.
            spacing: (N, 2), height and width of a pixel in millimetres, nan where unknown; None: count in pixels.
        """
        sizes = [(1.0, 1.0)] * len(target) if spacing is None else [(float(h), float(w)) for h, w in spacing.tolist()]
        scores = [
            [score for image in zip(masks, truths, sizes, strict=True) if (score := self._image(*image)) is not None]
            for masks, truths in zip(predicted.unbind(1), target.unbind(1), strict=True)
        ]
        self.total = self.total + self.total.new_tensor([sum(channel) for channel in scores])
        self.images = self.images + self.images.new_tensor([len(channel) for channel in scores])

    def compute(self) -> Tensor:
        """The mean over images, a scalar or (C,); nan without any."""
        return by_channel((self.total / self.images).float())

    def _image(self, predicted: Tensor, target: Tensor, size: tuple[float, float]) -> float | None:
        known = target != MISSING
        truth, drawn = target == 1, predicted & known
        sized: dict[str, Any] = {"size": size} if self.needs_spacing else {}
        if truth.any():
            return self.score(drawn, truth, **sized)
        if self.empty == "skip" or not known.any():
            return None
        height, width = target.shape
        return self.worst(height, width, **sized) if drawn.any() else self.perfect
