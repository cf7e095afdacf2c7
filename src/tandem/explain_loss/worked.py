"""The worked example: 7 x 7 pixels, 5 of a lesion and 44 of background, at two moments of training."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tandem.config.instantiate import build
from tandem.explain_loss.regions import regions
from tandem.explain_loss.shares import Moment, gradient_shares

SIDE = 7

BASELINES: dict[str, dict[str, Any]] = {
    "bce": {"_target_": "tandem.losses.binary.BCE"},
    "focal gamma=2 alpha=0.25": {"_target_": "tandem.losses.binary.Focal", "gamma": 2.0, "alpha": 0.25},
    "balanced_bce beta=44/49": {"_target_": "tandem.losses.binary.BalancedBCE", "beta": 44 / 49},
}
"""The three losses that the example compares, with their hyperparameters; beta is the background's share of pixels."""

MOMENTS = {
    "first step: p = 0.5 everywhere": (0.5, 0.5),
    "later: lesion p = 0.3, background p = 0.1": (0.3, 0.1),
}
"""Predicted probability of lesion, for lesion pixels and for background pixels."""


def worked_mask() -> Tensor:
    """Returns the mask, (1, 1, 7, 7) uint8: a cross of 5 lesion pixels in the middle.

    Example:
        >>> int(worked_mask().sum()), worked_mask().numel()
        (5, 49)
    """
    mask = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8)
    middle = SIDE // 2
    mask[..., middle, middle - 1 : middle + 2] = 1
    mask[..., middle - 1 : middle + 2, middle] = 1
    return mask


def worked_counts() -> tuple[int, int]:
    """Returns the number of background and of lesion pixels."""
    mask = worked_mask()
    return int((mask == 0).sum()), int((mask == 1).sum())


def worked_logits(lesion: float, background: float) -> Tensor:
    """Returns logits, (1, 1, 7, 7) float64, for one probability on the lesion and one on the background."""
    on_lesion, elsewhere = torch.tensor([lesion, background], dtype=torch.float64)
    return torch.logit(torch.where(worked_mask() == 1, on_lesion, elsewhere))


def worked_moments(losses: Mapping[str, nn.Module]) -> list[Moment]:
    """Computes gradient shares on the 49 pixels at each moment, for the example's three losses and further ones.

    Args:
        losses: further losses of the kind `binary` or `multiclass`, by label, with data-dependent hyperparameters
            resolved on this example.
    """
    mask = worked_mask()
    compared = {label: build(node, "loss") for label, node in BASELINES.items()} | dict(losses)
    return [
        gradient_shares(
            name,
            "",
            compared,
            worked_logits(lesion, background),
            mask,
            regions(mask, 0),
            hard=0.5,
            batch_size=1,
        )
        for name, (lesion, background) in MOMENTS.items()
    ]
