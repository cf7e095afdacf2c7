"""Post-processing of masks: largest component, holes, smallest area."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

STEPS = ("holes", "smallest", "largest")
"""All steps, in the order in which they are applied."""

TOUCHING = np.ones((3, 3), dtype=bool)
"""Pixels of one component touch at a side or corner, as in lesion metrics; those of a hole touch at a side."""


class Step(NamedTuple):
    """One step of post-processing.

    Attributes:
        name: `holes` (background that the mask encloses is filled), `smallest` (components below an area are removed)
            or `largest` (only the largest component stays).
        share: the area for `smallest`, as a share of the image's pixels, so that it holds at any size.
    """

    name: str
    share: float = 0.0

    def __str__(self) -> str:
        """The step in words."""
        return {
            "holes": "holes filled",
            "smallest": f"components below {self.share:.2%} of the image removed",
            "largest": "only the largest component",
        }[self.name]


def processed(mask: Mask, steps: Sequence[Step]) -> Mask:
    """Applies steps to a mask.

    Args:
        mask: (H, W).
        steps: in their order.

    Example:
        >>> processed(np.array([[1, 1, 0, 1]], bool), [Step("largest")]).astype(int).tolist()
        [[1, 1, 0, 0]]
    """
    from scipy import ndimage

    for step in steps:
        if step.name == "holes":
            mask = np.asarray(ndimage.binary_fill_holes(mask), dtype=bool)
            continue
        pieces, _ = ndimage.label(mask, TOUCHING)
        mask = kept(np.bincount(pieces.ravel()), mask.size, step)[pieces]
    return mask


def kept(sizes: npt.NDArray[np.int64], pixels: int, step: Step) -> Mask:
    """Says which components of a mask stay; of several largest ones the first.

    Args:
        sizes: number of pixels of the background and of each component; 0: it has been removed.
        pixels: of the image.
        step: `smallest` or `largest`.

    Returns:
        bool for the background (False) and each component.
    """
    stays: Mask = (sizes > 0) & (sizes >= step.share * pixels)
    stays[0] = False
    if step.name == "largest" and stays.any():
        stays = np.arange(len(sizes)) == np.where(stays, sizes, 0).argmax()
    return stays
