"""Lesions as objects: how many were found, and the error of the predicted area."""

from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from tandem.errors import ConfigError
from tandem.metrics.bins import MISSING, by_channel
from tandem.metrics.masks import Empty, MaskMetric
from tandem.metrics.overlap import dice_parts

Quantity = Literal["f1", "recall", "precision"]


class AreaError(MaskMetric):
    """Mean error of the predicted area, relative to the true one: `|A_drawn - A_true| / A_true`; 0 is perfect.

    Args:
        signed: without the absolute value, so that too large (above 0) and too small areas cancel: the bias.
        empty: see `MaskMetric`; under `score` a mask predicted where there is none counts as 1.
    """

    perfect: ClassVar[float] = 0.0

    def __init__(self, signed: bool = False, empty: Empty = "skip", **options: Any) -> None:
        super().__init__(empty, **options)
        self.signed = signed

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]  # torchmetrics has a class attribute
        """Less is better; of the bias neither is."""
        return None if self.signed else False

    def score(self, predicted: Tensor, truth: Tensor) -> float:
        """Error relative to the true area."""
        error = float(predicted.sum() / truth.sum()) - 1
        return error if self.signed else abs(error)

    def worst(self, height: int, width: int) -> float:
        """The error of a mask that is twice as large as the true one."""
        return 1.0


class LesionDetection(Metric):
    """F1, recall or precision of lesions as connected components (pixels that touch at a side or corner).

    A predicted component and a true lesion match if their intersection over union is above `overlap`; each has at most
    one match, assigned so that as many as possible have one (Kuhn 1955). With TP matches, FP components and FN lesions
    without one: F1 = 2 TP / (2 TP + FP + FN), counted over all images and divided once, so that images without lesion
    contribute their false positives. nan if there is neither a component nor a lesion to count.

    Shapes and pixels marked 255: `MaskMetric`.

    Args:
        quantity: `f1`, `recall` or `precision`.
        overlap: in [0, 1); 0: any common pixel.

    Raises:
        ConfigError: an unknown quantity, an overlap out of range.

    Example:
        >>> truth = torch.tensor([[[[1, 1, 0, 0, 1]]]])
        >>> metric = LesionDetection()
        >>> metric.update(torch.tensor([[[[1, 0, 0, 0, 0]]]]).bool(), truth)
        >>> metric.compute()
        tensor(0.6667)
    """

    full_state_update = False
    higher_is_better = True
    needs_mask: ClassVar[bool] = True
    counts: Tensor

    def __init__(self, quantity: Quantity = "f1", overlap: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        if quantity not in get_args(Quantity):
            raise ConfigError(f"quantity is '{quantity}', but must be one of {', '.join(get_args(Quantity))}")
        if not 0 <= overlap < 1:
            raise ConfigError(f"overlap is {overlap}, but must lie in [0, 1)")
        self.quantity = quantity
        self.overlap = overlap
        self.for_channels(1)

    def for_channels(self, channels: int) -> None:
        """Reset the state for this number of channels, which the task sets."""
        self.add_state("counts", torch.zeros(3, channels, dtype=torch.int64), "sum")

    def counts_key(self) -> tuple[int, float]:
        """Number of channels, and the overlap of a match; the quantity follows from the counts."""
        return self.counts.shape[1], self.overlap

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        drawn, truth = (predicted & (target != MISSING)).cpu().numpy(), (target == 1).cpu().numpy()
        found = [
            [match_pieces(*pair, self.overlap) for pair in zip(*masks, strict=True)]
            for masks in zip(drawn, truth, strict=True)
        ]
        self.counts = self.counts + self.counts.new_tensor(found).sum(0).T

    def compute(self) -> Tensor:
        """In [0, 1], a scalar or (C,)."""
        hits, drawn, lesions = self.counts.double()
        part, whole = {
            "f1": dice_parts(hits, drawn, lesions),
            "recall": (hits, lesions),
            "precision": (hits, drawn),
        }[self.quantity]
        return by_channel(torch.div(part, whole).float())


def match_pieces(drawn: np.ndarray[Any, Any], truth: np.ndarray[Any, Any], overlap: float) -> tuple[int, int, int]:
    """Numbers of matches, predicted components and true lesions of one image.

    Args:
        drawn: (H, W), bool.
        truth: (H, W), bool.
        overlap: the intersection over union of a match must be above it.
    """
    from scipy import ndimage
    from scipy.optimize import linear_sum_assignment

    touching = np.ones((3, 3))
    pieces, drawn_count = ndimage.label(drawn, touching)
    lesions, true_count = ndimage.label(truth, touching)
    if not drawn_count or not true_count:
        return 0, drawn_count, true_count
    pairs = np.bincount((pieces * (true_count + 1) + lesions).ravel(), minlength=(drawn_count + 1) * (true_count + 1))
    common = pairs.reshape(drawn_count + 1, true_count + 1)
    union = common.sum(1, keepdims=True) + common.sum(0, keepdims=True) - common
    fits = (common / union > overlap)[1:, 1:]
    return int(fits[linear_sum_assignment(fits, maximize=True)].sum()), drawn_count, true_count
