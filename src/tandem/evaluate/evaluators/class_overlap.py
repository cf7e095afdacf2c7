"""Overlap of masks of classes, as a function of the weight of each image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tandem.data.batch import MISSING_PIXEL
from tandem.evaluate.bootstrap import Array, mean_known, mean_of, ratio
from tandem.metrics.overlap import dice_parts


def confusion_of(truth: npt.NDArray[Any], drawn: npt.NDArray[Any], classes: int) -> npt.NDArray[np.int64]:
    """(C, C) counts of an image's labelled pixels; rows are true classes.

    Args:
        truth: (H, W) true classes, with 255 where a pixel is unlabelled.
        drawn: (H, W) predicted classes.
        classes: C.
    """
    known = truth != MISSING_PIXEL
    pairs = truth[known].astype(np.int64) * classes + drawn[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


class OverlapMeasure:
    """Overlap of each class as a function of the weight of each image.

    Args:
        matrices: (M, C, C) confusion matrix of each image's pixels; rows are true classes.
        names: names of the classes.

    Attributes:
        dice: (M, C) Dice of each image and class; nan where the image does not contain the class.
    """

    def __init__(self, matrices: npt.NDArray[np.int64], names: Sequence[str]) -> None:
        self.names = names
        self.hits = matrices.diagonal(axis1=1, axis2=2).astype(np.float64)
        self.true, self.drawn = matrices.sum(2).astype(np.float64), matrices.sum(1).astype(np.float64)
        self.dice = ratio(*dice_parts(self.hits, self.drawn, self.true), known=self.true)

    def __call__(self, weights: Array) -> dict[str, Array]:
        """(R,) values by name, for (R, M) weights."""
        hits, true, drawn = (weights @ part for part in (self.hits, self.true, self.drawn))
        dice, iou = ratio(*dice_parts(hits, drawn, true)), ratio(hits, true + drawn - hits)
        assert not (dice < iou - 1e-12).any(), "Dice below IoU: the counts are wrong"
        found = {"dice": mean_known(dice), "iou": mean_known(iou)}
        for c, name in enumerate(self.names):
            found |= {f"dice_of/{name}": dice[:, c], f"iou_of/{name}": iou[:, c]}
            found |= {f"dice_image/{name}": mean_of(weights, self.dice[:, c])}
        return found
