"""Weak masks by thresholding grey levels (Otsu, "A threshold selection method from gray-level histograms", 1979)."""

import numpy as np
from numpy.typing import NDArray

CHUNK = 4096


def otsu_thresholds(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    r"""Finds the threshold of each image that best separates its grey levels into two classes.

    It maximises the between-class variance \(w_0 w_1 (\mu_0 - \mu_1)^2\), where \(w_0\) and \(w_1\) are the shares of
    pixels at or below the threshold and above it, and \(\mu_0\), \(\mu_1\) their means. Of equally good thresholds it
    takes the lowest.

    Args:
        images: (N, H, W) grey levels.

    Returns:
        (N,) thresholds; pixels above them are bright. An image with a single grey level has the threshold 0.
    """
    count = len(images)
    flat = images.reshape(count, -1).astype(np.int64) + 256 * np.arange(count)[:, None]
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
    """Masks the bright pixels of each image, or the dark ones.

    Args:
        images: (N, C, H, W) uint8; several channels are averaged.
        dark: mask the pixels at or below the threshold instead of those above it.

    Returns:
        (N, 1, H, W) uint8 with 0 and 1.
    """
    masks = np.empty((len(images), 1, *images.shape[2:]), dtype=np.uint8)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        grey = part[:, 0] if part.shape[1] == 1 else part.mean(1).round().astype(np.uint8)
        bright = grey > otsu_thresholds(grey)[:, None, None]
        masks[start : start + CHUNK, 0] = ~bright if dark else bright
    return masks
