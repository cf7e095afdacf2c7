"""Synthetic predictions: of a network before training and halfway through it."""

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL


def prior_logit(masks: Tensor) -> float:
    """Returns log(pi / (1 - pi)), with pi the lesion's share of all pixels that have a target.

    It is the initial logit of a network whose last bias starts at the prior (Lin et al., RetinaNet, 2017).

    Args:
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing).
    """
    lesion, known = int((masks == 1).sum()), int((masks != MISSING_PIXEL).sum())
    return math.log(lesion / (known - lesion))


def half_trained(masks: Tensor, blur: float, signal: float, noise: float, seed: int) -> Tensor:
    """Draws logits signal (2 b - 1) + noise e, with b the blurred mask and e standard normal for each pixel.

    The lesion is found, its border is blurred, and single pixels are wrong anywhere.

    Args:
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing, taken as background).
        blur: standard deviation of the Gaussian that blurs a mask, in pixels.
        signal: logit in the middle of a large lesion; far from any lesion it is -signal.
        noise: standard deviation of the noise, in logits.
        seed: seed of the noise.

    Returns:
        The same shape, float64.
    """
    lesion = (masks == 1).double().numpy()
    blurred = torch.from_numpy(np.asarray(ndimage.gaussian_filter(lesion, sigma=(0, 0, blur, blur))))
    drawn = torch.randn(masks.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return signal * (2 * blurred - 1) + noise * drawn
