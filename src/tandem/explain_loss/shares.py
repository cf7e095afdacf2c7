"""Which pixels a loss's gradient comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tandem.explain_loss.probe import probe

HARDNESS = ("easy", "hard")

Shares = dict[tuple[str, str], float]
"""A share of the whole for each (region, easy or hard); together 1, or nan if the whole is 0."""


def pixel_gradients(loss: nn.Module, logits: Tensor, masks: Tensor, batch_size: int) -> Tensor:
    """|dL / dz| of each pixel, in batches, each image counting alike.

    Args:
        loss: of the kind `binary` or `multiclass`.
        logits: (N, 1, H, W).
        masks: the same shape, uint8 with 0, 1 and 255 (missing).
        batch_size: masks at once.

    Returns:
        The same shape, float64.
    """
    batches = zip(torch.split(logits, batch_size), torch.split(masks, batch_size), strict=True)
    # a batch's gradient is that of a mean over its rows: the last batch may have fewer
    return torch.cat([probe(loss, z, y)[1].abs() * len(y) for z, y in batches])


def shares(amount: Tensor, logits: Tensor, masks: Tensor, places: Mapping[str, Tensor], hard: float) -> Shares:
    """Divides an amount over regions, and in each over easy and hard pixels.

    Args:
        amount: (N, 1, H, W) at least 0, such as the gradients; ones give shares of the pixels.
        logits: the same shape.
        masks: the same shape, uint8 with 0, 1 and 255 (missing).
        places: region of each pixel with a target, bool masks of the same shape that do not overlap.
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
    """The share of a region, easy and hard together."""
    return sum(share for (place, _), share in found.items() if place == region)


@dataclass(frozen=True)
class Moment:
    """Who pulls, given one prediction.

    Attributes:
        name: of the moment.
        prediction: what is predicted, in further words; may be empty.
        pixels: shares of the pixels.
        gradients: shares of the absolute gradient, by label of the loss.
    """

    name: str
    prediction: str
    pixels: Shares
    gradients: dict[str, Shares]


def pull(
    name: str,
    prediction: str,
    losses: Mapping[str, nn.Module],
    logits: Tensor,
    masks: Tensor,
    places: Mapping[str, Tensor],
    hard: float,
    batch_size: int,
) -> Moment:
    """Divides the pixels, and each loss's gradient, over regions and over easy and hard; arguments as above."""

    def divide(amount: Tensor) -> Shares:
        return shares(amount, logits, masks, places, hard)

    gradients = {label: divide(pixel_gradients(loss, logits, masks, batch_size)) for label, loss in losses.items()}
    return Moment(name, prediction, divide(torch.ones_like(logits)), gradients)
