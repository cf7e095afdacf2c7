"""Divides pixels into regions: lesion, border, background."""

from torch import Tensor
from torch.nn import functional as F

from tandem.data.batch import MISSING_PIXEL

REGIONS = ("lesion", "border", "background")


def regions(masks: Tensor, border: int) -> dict[str, Tensor]:
    """Assigns each pixel with a target to exactly one of three regions.

    Args:
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing, in no region).
        border: a pixel is in the border if a pixel of the other class is at most this many rows and columns away; 0
            for no border.

    Returns:
        Boolean masks of the same shape, by the names in `REGIONS`.

    Example:
        >>> import torch
        >>> row = torch.tensor([[[[0, 0, 0, 1, 1, 1, 255]]]], dtype=torch.uint8)
        >>> {name: region.int().flatten().tolist() for name, region in regions(row, 1).items()}["border"]
        [0, 0, 1, 1, 0, 0, 0]
    """
    lesion, background = masks == 1, masks == 0
    at_border = _grown(lesion, border) & _grown(background, border) & (masks != MISSING_PIXEL)
    return {"lesion": lesion & ~at_border, "border": at_border, "background": background & ~at_border}


def _grown(region: Tensor, by: int) -> Tensor:
    return F.max_pool2d(region.float(), 2 * by + 1, stride=1, padding=by) > 0
