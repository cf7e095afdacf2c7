"""Panels that show the errors of a segmentation."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.reports.page import GAP
from tandem.reports.palette import FALSE, HIT, MISS, UNKNOWN

RGBImage = npt.NDArray[np.uint8]


def panel_row(image: Tensor, mask: Tensor, predicted: Tensor) -> RGBImage:
    """Draws one case: image, true mask, predicted mask, and errors.

    Colours of the errors: see `tandem.reports.palette.ERRORS`.

    Args:
        image: (C, H, W) in [0, 1].
        mask: (H, W) with 0, 1 and 255.
        predicted: (H, W) bool.

    Returns:
        (H, 4 W, 3) uint8.
    """
    grey = (image.float().mean(0).clamp(0, 1) * 255).byte()
    base = grey.unsqueeze(-1).expand(*grey.shape, 3).clone()
    true = mask == 1
    error = base // 2
    for where, colour in (
        (true & predicted, HIT),
        (true & ~predicted, MISS),
        (~true & predicted, FALSE),
        (mask == MISSING_PIXEL, UNKNOWN),
    ):
        error[where] = torch.tensor(colour, dtype=torch.uint8)
    shown_truth = torch.where(mask == MISSING_PIXEL, UNKNOWN[0], true.byte() * 255).byte()
    parts = [base, _as_colour(shown_truth), _as_colour(predicted.byte() * 255), error]
    row: RGBImage = torch.cat(parts, dim=1).numpy()
    return row


def panel_sheet(rows: list[RGBImage], gap: int = GAP) -> RGBImage:
    """Stacks cases below each other, with a light gap.

    Args:
        rows: images of the same size, at least one.
        gap: pixels between two cases.
    """
    space = np.full((gap, *rows[0].shape[1:]), 230, dtype=np.uint8)
    stacked = [part for row in rows for part in (row, space)][:-1]
    return np.concatenate(stacked, axis=0)


def _as_colour(grey: Tensor) -> Tensor:
    return grey.unsqueeze(-1).expand(*grey.shape, 3)
