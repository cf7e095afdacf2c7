"""Distances between the predicted and the true border."""

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

from tandem.errors import ConfigError
from tandem.metrics.masks import Empty, MaskMetric
from tandem.utils.optional import load


class HausdorffDistance95(MaskMetric):
    """95th percentile of the distances between the borders of the predicted and the true mask, in pixels; 0 is perfect.

    The larger of the percentiles in both directions, as MONAI computes it. A missed lesion, and under `empty=score` a
    mask predicted where there is none, gets the largest possible distance, the image's diagonal. (As nan it would be
    left out of the mean, so that missing lesions would improve it.) Needs the extra `shape`. Other arguments:
    `MaskMetric`.

    Source: Huttenlocher et al., Comparing Images Using the Hausdorff Distance, 1993; the 95th percentile is customary.
    """

    higher_is_better = False
    perfect: ClassVar[float] = 0.0

    def __init__(self, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(empty, **options)
        self.distance = load("monai.metrics", "shape", "the metric hd95").compute_hausdorff_distance

    def score(self, predicted: Tensor, truth: Tensor) -> float:
        """The distance in pixels."""
        if not predicted.any():
            return self.worst(*truth.shape)
        distance = _quietly(
            self.distance,
            predicted[None, None].float(),
            truth[None, None].float(),
            include_background=True,
            percentile=95,
        )
        return float(distance)

    def worst(self, height: int, width: int) -> float:
        """The diagonal."""
        return math.hypot(height - 1, width - 1)


class SurfaceDice(MaskMetric):
    """Share of both borders that lies within a tolerance of the other one, in [0, 1]; 1 is perfect.

    As MONAI computes it. A missed lesion, and under `empty=score` a mask predicted where there is none, is 0. Needs the
    extra `shape`.

    Source: Nikolov et al., Deep Learning to Achieve Clinically Applicable Segmentation, 2018.

    Args:
        tolerance: in pixels, at least 0.
        empty: see `MaskMetric`.

    Raises:
        ConfigError: a negative tolerance.
    """

    higher_is_better = True
    perfect: ClassVar[float] = 1.0

    def __init__(self, tolerance: float = 2.0, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(empty, **options)
        if not 0 <= tolerance < math.inf:
            raise ConfigError(f"tolerance is {tolerance}, but must be at least 0 pixels")
        self.share = load("monai.metrics", "shape", "the metric surface_dice").compute_surface_dice
        self.tolerance = tolerance

    def score(self, predicted: Tensor, truth: Tensor) -> float:
        """The share in [0, 1]."""
        if not predicted.any():
            return 0.0
        share = _quietly(
            self.share,
            predicted[None, None].float(),
            truth[None, None].float(),
            class_thresholds=[self.tolerance],
            include_background=True,
        )
        return float(share)

    def worst(self, height: int, width: int) -> float:
        """No part of the border is within the tolerance."""
        return 0.0


def _quietly(function: Callable[..., Tensor], *arguments: Tensor, **options: Any) -> Tensor:
    """Call a function without MONAI's warnings about its own deprecations."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="monai", category=FutureWarning)
        return function(*arguments, **options)
