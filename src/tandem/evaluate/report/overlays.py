"""Rows of panels for one case: the image, its mask and the prediction."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.reports.palette import FALSE, LINES, UNKNOWN, rgb

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage

OUTLINE = (90, 200, 255)


def class_row(image: Tensor, mask: Tensor, predicted: Tensor) -> "RGBImage":
    """Draws one case of a multiclass segmentation: image, true classes, predicted classes and error map.

    Args:
        image: (C, H, W) in [0, 1].
        mask: (H, W) class indices; 255 where unlabelled.
        predicted: (H, W) class indices.

    Returns:
        (H, 4 W, 3) uint8.
    """
    base = _grey(image)
    palette = np.array([(0, 0, 0), *map(rgb, range(len(LINES)))], dtype=np.uint8)
    unknown = (mask == MISSING_PIXEL).numpy()
    true, drawn = (palette[np.where(unknown, 0, part.numpy()) % len(palette)] for part in (mask, predicted))
    true[unknown] = UNKNOWN
    error = base // 2
    error[((mask != predicted).numpy()) & ~unknown] = FALSE
    error[unknown] = UNKNOWN
    return np.concatenate([base, true, drawn, error], axis=1)


def cam_row(image: Tensor, mask: Tensor | None, heat: Tensor) -> "RGBImage":
    """Draws image, true mask (if there is one), and a heat map over the image with the mask's outline.

    Args:
        image: (C, H, W) in [0, 1].
        mask: (K, H, W), 255 where unlabelled; None if there is no mask.
        heat: (H, W) non-negative values, drawn relative to their maximum.

    Returns:
        (H, 3 W, 3) or (H, 2 W, 3) uint8.
    """
    base = _grey(image)
    strength = (heat / heat.max().clamp(min=1e-12)).numpy()
    colour = (colormaps["inferno"](strength)[..., :3] * 255).astype(np.float64)
    over = (0.5 * base + 0.5 * colour).astype(np.uint8)
    if mask is None:
        return np.concatenate([base, over], axis=1)
    known = mask != MISSING_PIXEL
    lesion = ((mask > 0) & known).any(0)
    over[_outline(lesion).numpy()] = OUTLINE
    truth = torch.where(known.any(0), lesion.byte() * 255, UNKNOWN[0]).byte().numpy()
    return np.concatenate([base, np.repeat(truth[..., None], 3, axis=2), over], axis=1)


def _outline(mask: Tensor) -> Tensor:
    """Pixels of an (H, W) mask that have a neighbour outside the mask."""
    padded = torch.nn.functional.pad(mask.float()[None, None], (1, 1, 1, 1), mode="replicate")
    inner = -torch.nn.functional.max_pool2d(-padded, 3, stride=1)[0, 0]
    return mask & (inner == 0)


def _grey(image: Tensor) -> "RGBImage":
    grey = (image.float().mean(0).clamp(0, 1) * 255).byte().numpy()
    return np.repeat(grey[..., None], 3, axis=2)
