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
    """95th percentile of the distances between the borders of the predicted and the true mask; 0 is perfect.

    In millimetres if the size of the pixels is known in the data set, else in pixels of the square image. The larger of
    the percentiles in both directions, as MONAI computes it. A missed lesion, and under `empty=score` a mask predicted
    where there is none, gets the largest possible distance, the image's diagonal. (As nan it would be left out of the
    mean, so that missing lesions would improve it.) Needs the extra `shape`. Other arguments: `MaskMetric`.

    Source: Huttenlocher et al., Comparing Images Using the Hausdorff Distance, 1993; the 95th percentile is customary.
    """

    higher_is_better = False
    needs_spacing: ClassVar[bool] = True
    perfect: ClassVar[float] = 0.0

    def __init__(self, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(empty, **options)
        self.distance = load("monai.metrics", "shape", "the metric hd95").compute_hausdorff_distance

    def score(self, predicted: Tensor, truth: Tensor, size: tuple[float, float] = (1.0, 1.0)) -> float:
        """The distance in the unit of `size`."""
        if not predicted.any() or math.isnan(sum(size)):
            return self.worst(len(truth), len(truth[0]), size)
        distance = _quietly(
            self.distance,
            predicted[None, None].float(),
            truth[None, None].float(),
            include_background=True,
            percentile=95,
            spacing=_in_mm(size),
        )
        return float(distance)

    def worst(self, height: int, width: int, size: tuple[float, float] = (1.0, 1.0)) -> float:
        """The diagonal."""
        return math.hypot(size[0] * (height - 1), size[1] * (width - 1))


class SurfaceDice(MaskMetric):
    """Share of both borders that lies within a tolerance of the other one, in [0, 1]; 1 is perfect.

    As MONAI computes it. A missed lesion, and under `empty=score` a mask predicted where there is none, is 0. Needs the
    extra `shape`.

    Source: Nikolov et al., Deep Learning to Achieve Clinically Applicable Segmentation, 2018.

    Args:
        tolerance: in millimetres if the size of the pixels is known in the data set, else in pixels; at least 0.
        empty: see `MaskMetric`.

    Raises:
        ConfigError: a negative tolerance.
    """

    higher_is_better = True
    needs_spacing: ClassVar[bool] = True
    perfect: ClassVar[float] = 1.0

    def __init__(self, tolerance: float = 2.0, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(empty, **options)
        if not 0 <= tolerance < math.inf:
            raise ConfigError(f"tolerance is {tolerance}, but must be at least 0")
        self.share = load("monai.metrics", "shape", "the metric surface_dice").compute_surface_dice
        self.tolerance = tolerance

    def score(self, predicted: Tensor, truth: Tensor, size: tuple[float, float] = (1.0, 1.0)) -> float:
        """The share in [0, 1]."""
        if not predicted.any() or math.isnan(sum(size)):
            return self.worst(len(truth), len(truth[0]), size)
        share = _quietly(
            self.share,
            predicted[None, None].float(),
            truth[None, None].float(),
            class_thresholds=[self.tolerance],
            include_background=True,
            spacing=_in_mm(size),
        )
        return float(share)

    def worst(self, height: int, width: int, size: tuple[float, float] = (1.0, 1.0)) -> float:
        """No part of the border is within the tolerance."""
        return math.nan if math.isnan(sum(size)) else 0.0


def _in_mm(size: tuple[float, float]) -> list[float] | None:
    """How MONAI takes the size of a pixel; None for distances in pixels."""
    return None if size == (1.0, 1.0) else list(size)


def _quietly(function: Callable[..., Tensor], *arguments: Tensor, **options: Any) -> Tensor:
    """Call a function without MONAI's warnings about its own deprecations."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="monai", category=FutureWarning)
        return function(*arguments, **options)
