"""Weak masks from grey levels alone (Otsu, "A threshold selection method from gray-level histograms", 1979)."""

import numpy as np
from numpy.typing import NDArray

CHUNK = 4096


def otsu_thresholds(pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
    r"""The level of each picture that separates its grey levels best into two.

    It maximises the variance between the two sides, \(w_0 w_1 (\mu_0 - \mu_1)^2\), with \(w\) the shares of pixels at
    or below and above the level, and \(\mu\) their means; of several such levels it is the lowest.

    Args:
        pictures: (N, H, W) grey levels.

    Returns:
        (N,) levels; what is above them is bright. That of a picture of one level is 0.
    """
    count = len(pictures)
    flat = pictures.reshape(count, -1).astype(np.int64) + 256 * np.arange(count)[:, None]
    histogram = np.bincount(flat.ravel(), minlength=256 * count).reshape(count, 256).astype(np.float64)
    below = histogram.cumsum(1)
    weighted = (histogram * np.arange(256)).cumsum(1)
    above = below[:, -1:] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = weighted / below - (weighted[:, -1:] - weighted) / above
        between = np.nan_to_num(below * above * gap**2)
    levels: NDArray[np.int64] = between.argmax(1)
    return levels


def otsu_masks(images: NDArray[np.uint8], dark: bool = False) -> NDArray[np.uint8]:
    """(N, 1, H, W) uint8 with 1 where a picture is brighter than its threshold, or not brighter.

    Args:
        images: (N, C, H, W) uint8; of several channels the mean counts.
        dark: whether the dark side is meant.
    """
    masks = np.empty((len(images), 1, *images.shape[2:]), dtype=np.uint8)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        grey = part[:, 0] if part.shape[1] == 1 else part.mean(1).round().astype(np.uint8)
        bright = grey > otsu_thresholds(grey)[:, None, None]
        masks[start : start + CHUNK, 0] = ~bright if dark else bright
    return masks
