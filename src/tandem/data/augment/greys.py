"""Intensity transforms with a separate amount for each row; amounts have the shape (N, 1, 1, 1)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601 weights of red, green and blue."""


def saturate(image: Tensor, factor: Tensor) -> Tensor:
    """Changes colour saturation: above 1 moves colours away from their grey, below 1 towards it; grey is unchanged."""
    if image.shape[1] != len(LUMA):
        return image
    grey = (image * image.new_tensor(LUMA).view(1, -1, 1, 1)).sum(1, keepdim=True)
    return grey + (image - grey) * factor


def blur(image: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blurs with a separable Gaussian, truncated at three times the largest sigma; border pixels are replicated.

    Args:
        image: (N, C, H, W).
        sigma: (N, 1, 1, 1) in pixels, 0 to `largest`.
        largest: largest sigma; determines the size of the kernel.
    """
    radius = max(1, math.ceil(3 * largest))
    offsets = torch.arange(-radius, radius + 1, device=image.device)
    weights = torch.exp(-(offsets**2) / (2 * sigma.view(-1, 1).clamp(min=1e-2) ** 2))
    weights = weights / weights.sum(1, keepdim=True)
    for axis, padding in ((3, (radius, radius, 0, 0)), (2, (0, 0, radius, radius))):
        wide, length = F.pad(image, padding, mode="replicate"), image.shape[axis]
        image = sum(  # type: ignore[assignment]  # of tensors
            weights[:, place].view(-1, 1, 1, 1) * wide.narrow(axis, place, length) for place in range(2 * radius + 1)
        )
    return image
