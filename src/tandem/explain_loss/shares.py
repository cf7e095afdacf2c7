"""Gradient shares: which pixels the gradient of a loss comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tandem.explain_loss.probe import probe

HARDNESS = ("easy", "hard")

Shares = dict[tuple[str, str], float]
"""Share of the total for each (region, easy or hard); they sum to 1, or are nan if the total is 0."""


def pixel_gradients(loss: nn.Module, logits: Tensor, masks: Tensor, batch_size: int) -> Tensor:
    """Computes |dL / dz| of each pixel, in batches, with equal weight for each image.

    Args:
        loss: a loss of the kind `binary` or `multiclass`.
        logits: (N, 1, H, W).
        masks: the same shape, uint8 with 0, 1 and 255 (missing).
        batch_size: masks per batch.

    Returns:
        The same shape, float64.
    """
    batches = zip(torch.split(logits, batch_size), torch.split(masks, batch_size), strict=True)
    # the loss of a batch is a mean over its rows, and the last batch may have fewer
    return torch.cat([probe(loss, z, y)[1].abs() * len(y) for z, y in batches])


def shares(amount: Tensor, logits: Tensor, masks: Tensor, places: Mapping[str, Tensor], hard: float) -> Shares:
    """Divides an amount into shares of regions, and of easy and hard pixels in each region.

    Args:
        amount: (N, 1, H, W) non-negative, such as absolute gradients; with ones, the result is shares of pixels.
        logits: the same shape.
        masks: the same shape, uint8 with 0, 1 and 255 (missing).
        places: boolean masks of the regions, of the same shape, without overlap.
        hard: a pixel is hard if |sigmoid(z) - y| is at least this, easy otherwise.
    """
    wrong = (torch.sigmoid(logits) - (masks == 1).double()).abs()
    is_hard = wrong >= hard - 1e-12  # sigmoid(0) is exactly 0.5, but a probability given as a logit is not
    parts = {
        (region, word): amount[place & (is_hard if word == "hard" else ~is_hard)].sum().item()
        for region, place in places.items()
        for word in HARDNESS
    }
    whole = sum(parts.values())
    return {key: part / whole if whole > 0 else float("nan") for key, part in parts.items()}


def of_region(found: Shares, region: str) -> float:
    """Returns the share of a region, easy and hard pixels together."""
    return sum(share for (place, _), share in found.items() if place == region)


@dataclass(frozen=True)
class Moment:
    """Gradient shares at one moment of training, that is, for one prediction.

    Attributes:
        name: name of the moment.
        prediction: further description of the prediction; may be empty.
        pixels: shares of the pixels.
        gradients: shares of the absolute gradient, by label of the loss.
    """

    name: str
    prediction: str
    pixels: Shares
    gradients: dict[str, Shares]


def gradient_shares(
    name: str,
    prediction: str,
    losses: Mapping[str, nn.Module],
    logits: Tensor,
    masks: Tensor,
    places: Mapping[str, Tensor],
    hard: float,
    batch_size: int,
) -> Moment:
    """Computes the shares of pixels and of each loss's gradient; arguments as in the functions above."""

    def divide(amount: Tensor) -> Shares:
        return shares(amount, logits, masks, places, hard)

    gradients = {label: divide(pixel_gradients(loss, logits, masks, batch_size)) for label, loss in losses.items()}
    return Moment(name, prediction, divide(torch.ones_like(logits)), gradients)
