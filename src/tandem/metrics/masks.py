"""What metrics of drawn masks share: they see yes or no for each pixel, and state what an empty mask is worth."""

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from tandem.errors import ConfigError
from tandem.metrics.bins import MISSING, by_channel

Empty = Literal["skip", "score"]


class MaskMetric(Metric):
    """Base of metrics that compare a drawn mask with the true one, picture by picture.

    They take masks, not probabilities, so they count only where the threshold is settled: in evaluation, not while
    training still moves it. A subclass says what one picture with a lesion scores.

    Shapes:
        predicted: (N, C, H, W), bool.
        target: the same shape; 0, 1, or 255 where it counts nowhere.

    A pixel marked 255 is background in both masks; a picture that is wholly 255 counts nowhere.

    Args:
        empty: a picture without lesion is left out (`skip`), or scores `perfect` where nothing was drawn and `worst`
            where something was (`score`).

    Attributes:
        perfect: what a faultless mask scores.
        needs_mask: tells tasks to give masks.

    Raises:
        ConfigError: an unknown policy.
    """

    full_state_update = False
    needs_mask: ClassVar[bool] = True
    perfect: ClassVar[float]
    total: Tensor
    pictures: Tensor

    def __init__(self, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(**options)
        if empty not in get_args(Empty):
            raise ConfigError(f"empty is '{empty}', but must be one of {', '.join(get_args(Empty))}")
        self.empty = empty
        self.for_channels(1)

    def for_channels(self, channels: int) -> None:
        """Begins anew, for masks of so many channels; a task says how many it has."""
        self.add_state("total", torch.zeros(channels, dtype=torch.float64), "sum")
        self.add_state("pictures", torch.zeros(channels, dtype=torch.int64), "sum")

    def score(self, predicted: Tensor, truth: Tensor) -> float:
        """What one picture with a lesion scores.

        Args:
            predicted: (H, W), bool.
            truth: (H, W), bool, not empty.
        """
        raise NotImplementedError(f"{type(self).__name__} needs `score`")

    def worst(self, height: int, width: int) -> float:
        """What a mask where there is no lesion scores under `empty=score`."""
        raise NotImplementedError(f"{type(self).__name__} needs `worst`")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        scores = [
            [score for pair in zip(masks, truths, strict=True) if (score := self._picture(*pair)) is not None]
            for masks, truths in zip(predicted.unbind(1), target.unbind(1), strict=True)
        ]
        self.total = self.total + self.total.new_tensor([sum(channel) for channel in scores])
        self.pictures = self.pictures + self.pictures.new_tensor([len(channel) for channel in scores])

    def compute(self) -> Tensor:
        """The mean over pictures, a scalar or (C,); nan where none counted."""
        return by_channel((self.total / self.pictures).float())

    def _picture(self, predicted: Tensor, target: Tensor) -> float | None:
        known = target != MISSING
        truth, drawn = target == 1, predicted & known
        if truth.any():
            return self.score(drawn, truth)
        if self.empty == "skip" or not known.any():
            return None
        height, width = target.shape
        return self.worst(height, width) if drawn.any() else self.perfect
