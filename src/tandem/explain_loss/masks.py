"""The masks of a data set, and the gradient shares on them at three moments of training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tandem.config.instantiate import build
from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_PIXEL
from tandem.errors import DataError
from tandem.explain_loss.predictions import half_trained, prior_logit
from tandem.explain_loss.regions import regions
from tandem.explain_loss.shares import Moment, gradient_shares
from tandem.metrics.overlap import dice_parts


@dataclass(frozen=True)
class Masks:
    """Masks of one split, and the pixel counts of the training masks.

    Attributes:
        name: name of the data set.
        split: train, val or test.
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing).
        all: number of masks of the split, of which these are some or all.
        counts: number of background and of lesion pixels in the training masks.
    """

    name: str
    split: str
    masks: Tensor
    all: int
    counts: tuple[int, int]


def read_masks(node: Mapping[str, Any], split: str, most: int) -> Masks:
    """Reads the masks of a data set, without images that have none.

    Args:
        node: configuration of the data.
        split: train, val or test.
        most: maximum number of masks, evenly spaced in the split.

    Raises:
        ConfigError: the data source cannot be built.
        DataError: the data cannot be read, the split does not exist, or the masks have no lesion or no background.
    """
    source = build(node, "data")
    splits = source.load()
    if split not in splits:
        raise DataError(f"split is '{split}', which data '{source.name}' does not have: {nearest(split, splits)}")
    masks = _lesions(splits[split].masks[...])
    rows = torch.linspace(0, len(masks) - 1, min(most, len(masks))).round().long()
    chosen = masks[rows]
    for value, what in ((1, "a lesion"), (0, "background")):
        if not bool((chosen == value).any()):
            raise DataError(
                f"data '{source.name}', split '{split}': none of {len(chosen)} masks shows {what}, so there are no "
                "gradient shares; choose other data=... or split=..."
            )
    training = _lesions(splits["train"].masks[...])
    return Masks(source.name, split, chosen, len(masks), (int((training == 0).sum()), int((training == 1).sum())))


def _lesions(masks: Tensor) -> Tensor:
    """Converts masks to binary masks, (M, 1, H, W), and drops those without known pixels.

    Each yes/no channel becomes a separate mask; in multiclass masks, all classes but the background are lesion.
    """
    single = masks.flatten(0, 1).unsqueeze(1)
    known = single != MISSING_PIXEL
    return torch.where(known, (single > 0).byte(), single)[known.flatten(1).any(1)]


def describe_masks(found: Masks) -> str:
    """Describes the masks in one line."""
    masks = found.masks
    some = f"{len(masks)} of {found.all}" if len(masks) < found.all else str(found.all)
    ill = int((masks == 1).flatten(1).any(1).sum())
    share = (masks == 1).sum().item() / (masks != MISSING_PIXEL).sum().item()
    return (
        f"{found.name}, split {found.split}: {some} masks of {masks.shape[2]} x {masks.shape[3]} pixels, {ill} with a "
        f"lesion; lesions cover {share:.1%} of all pixels"
    )


def data_moments(losses: Mapping[str, nn.Module], masks: Tensor, config: Mapping[str, Any]) -> list[Moment]:
    """Computes gradient shares before training (logits 0, or at the prior) and halfway through it.

    Args:
        losses: losses of the kind `binary` or `multiclass`, by label.
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing).
        config: the resolved root of `explain_loss.yaml`.
    """
    synthetic = config["half_trained"]
    prior = prior_logit(masks)
    guess = half_trained(masks, **synthetic)
    described = (
        f"logits = {synthetic['signal']:g} (2 blurred mask - 1) + {synthetic['noise']:g} noise, blur "
        f"{synthetic['blur']:g} pixels, seed {synthetic['seed']}; Dice {_dice(guess, masks):.2f} at 0.5"
    )
    start = torch.zeros(masks.shape, dtype=torch.float64)
    predictions = {
        "before training: p = 0.5": (start, "every logit is 0"),
        f"bias at the prior: p = {1 / (1 + math.exp(-prior)):.3f}": (
            start + prior,
            "before training, every probability is the lesions' share of the pixels",
        ),
        "half-trained (synthetic)": (guess, described),
    }
    places = regions(masks, config["border"])
    return [
        gradient_shares(name, words, losses, logits, masks, places, config["hard"], config["batch_size"])
        for name, (logits, words) in predictions.items()
    ]


def _dice(logits: Tensor, masks: Tensor) -> float:
    """Dice over all pixels together, at probability 0.5."""
    known = masks != MISSING_PIXEL
    found, lesion = (logits >= 0) & known, masks == 1
    part, whole = dice_parts((found & lesion).sum().item(), found.sum().item(), lesion.sum().item())
    return float(part / whole)
