"""How far a drawn border lies from the true one."""

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

from tandem.errors import ConfigError
from tandem.metrics.masks import Empty, MaskMetric
from tandem.utils.optional import load


class HausdorffDistance95(MaskMetric):
    """95th percentile of the distances between the borders of the drawn and the true mask, in pixels; 0 is perfect.

    The larger of the percentiles in both directions, as MONAI computes it. A missed lesion, and under `empty=score` a
    mask where there is none, is as far off as can be: the picture's diagonal. (Left as nan it would drop out of the
    mean, and missing lesions would improve it.) Needs the extra `shape`. Other arguments: `MaskMetric`.

    Source: Huttenlocher et al., Comparing Images Using the Hausdorff Distance, 1993; its 95th percentile is a habit.
    """

    higher_is_better = False
    perfect: ClassVar[float] = 0.0

    def __init__(self, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(empty, **options)
        self.distance = load("monai.metrics", "shape", "the metric hd95").compute_hausdorff_distance

    def score(self, predicted: Tensor, truth: Tensor) -> float:
        """Pixels."""
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

    As MONAI computes it. A missed lesion, and under `empty=score` a mask where there is none, is 0. Needs the extra
    `shape`.

    Source: Nikolov et al., Deep Learning to Achieve Clinically Applicable Segmentation, 2018.

    Args:
        tolerance: in pixels, at least 0.
        empty: `MaskMetric`'s.

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
        """A share."""
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
        """Nothing of the border is right."""
        return 0.0


def _quietly(function: Callable[..., Tensor], *arguments: Tensor, **options: Any) -> Tensor:
    """Without MONAI's warnings of what it itself is about to change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="monai", category=FutureWarning)
        return function(*arguments, **options)
