"""Draws images with outlined masks, for the visual inspection of data."""

from typing import TYPE_CHECKING

import numpy as np

from tandem.data.batch import MISSING_PIXEL
from tandem.reports.palette import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

UNKNOWN = (0.85, 0.45, 0.0, 0.35)
"""Overlay colour of ignored pixels (255)."""


def draw_outlined(axes: "Axes", image: "Tensor", mask: "Tensor | None") -> None:
    """Draws an image and outlines each class or channel of its mask in a different colour; 255 is tinted orange.

    A missing mask is shown by a note in a corner, since it would tint the whole image.

    Args:
        axes: the axes to draw on.
        image: (C, H, W) in [0, 1], with 1 or 3 channels.
        mask: (K, H, W) uint8 or None.
    """
    pixels = image.permute(1, 2, 0).numpy()
    axes.imshow(pixels[..., 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    if mask is None:
        return
    unknown = (mask == MISSING_PIXEL).all(0).numpy()
    if unknown.all():
        axes.text(0.03, 0.03, "no mask", transform=axes.transAxes, color=UNKNOWN[:3], fontsize=7)
        return
    axes.imshow(unknown[..., None] * np.array(UNKNOWN))
    regions = [
        (channel == value).numpy()
        for channel in mask
        for value in sorted(set(channel.unique().tolist()) - {0, MISSING_PIXEL})
    ]
    for index, region in enumerate(regions):
        framed = np.pad(region.astype(float), 1)  # closed at the image's edge
        places = [np.arange(-1, side + 1) for side in region.shape]
        axes.contour(places[1], places[0], framed, levels=[0.5], colors=[colour(index)], linewidths=1)
    axes.set(xlim=(-0.5, mask.shape[2] - 0.5), ylim=(mask.shape[1] - 0.5, -0.5))
