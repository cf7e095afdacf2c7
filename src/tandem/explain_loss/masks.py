"""The masks of a data set, and who pulls on them at three moments of a training."""

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
from tandem.explain_loss.shares import Moment, pull


@dataclass(frozen=True)
class Masks:
    """Masks of one split, and how many pixels the training masks have.

    Attributes:
        name: the data set.
        split: train, val or test.
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing).
        all: masks of the split, of which these are some or all.
        counts: pixels of background and of lesion in the training masks.
    """

    name: str
    split: str
    masks: Tensor
    all: int
    counts: tuple[int, int]


def read_masks(node: Mapping[str, Any], split: str, most: int) -> Masks:
    """Masks of a data set, without the images that have none.

    Args:
        node: configuration of the data.
        split: train, val or test.
        most: if there are more, so many are taken, evenly over the split.

    Raises:
        ConfigError: data that cannot be built.
        DataError: data that cannot be read; no such split; no mask, no lesion, or nothing else.
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
                f"data '{source.name}', split '{split}': none of {len(chosen)} masks shows {what}, so no gradient can "
                "be shared out; choose other data=... or split=..."
            )
    training = _lesions(splits["train"].masks[...])
    return Masks(source.name, split, chosen, len(masks), (int((training == 0).sum()), int((training == 1).sum())))


def _lesions(masks: Tensor) -> Tensor:
    """(M, 1, H, W) masks of lesion or not, without those of which nothing is known.

    Each channel of yes/no questions becomes a mask of its own; of several classes, all but the background are lesion.
    """
    single = masks.flatten(0, 1).unsqueeze(1)
    known = single != MISSING_PIXEL
    return torch.where(known, (single > 0).byte(), single)[known.flatten(1).any(1)]


def describe_masks(found: Masks) -> str:
    """The masks in one line."""
    masks = found.masks
    some = f"{len(masks)} of {found.all}" if len(masks) < found.all else str(found.all)
    ill = int((masks == 1).flatten(1).any(1).sum())
    share = (masks == 1).sum().item() / (masks != MISSING_PIXEL).sum().item()
    return (
        f"{found.name}, split {found.split}: {some} masks of {masks.shape[2]} x {masks.shape[3]} pixels, {ill} with a "
        f"lesion; lesions cover {share:.1%} of all pixels"
    )


def data_moments(losses: Mapping[str, nn.Module], masks: Tensor, config: Mapping[str, Any]) -> list[Moment]:
    """Who pulls before training (logits 0, or at the prior) and half way.

    Args:
        losses: of the kind `binary` or `multiclass`, by label.
        masks: (N, 1, H, W) uint8 with 0, 1 and 255 (missing).
        config: the resolved root of `explain_loss.yaml`.
    """
    made_up = config["half_trained"]
    prior = prior_logit(masks)
    guess = half_trained(masks, **made_up)
    told = (
        f"logits = {made_up['signal']:g} (2 blurred mask - 1) + {made_up['noise']:g} noise, blur {made_up['blur']:g} "
        f"pixels, seed {made_up['seed']}; Dice {_dice(guess, masks):.2f} at 0.5"
    )
    start = torch.zeros(masks.shape, dtype=torch.float64)
    predictions = {
        "before training: p = 0.5": (start, "every logit is 0"),
        f"bias at the prior: p = {1 / (1 + math.exp(-prior)):.3f}": (
            start + prior,
            "before training, every probability is the lesions' share of the pixels",
        ),
        "half-trained (made up)": (guess, told),
    }
    places = regions(masks, config["border"])
    return [
        pull(name, words, losses, logits, masks, places, config["hard"], config["batch_size"])
        for name, (logits, words) in predictions.items()
    ]


def _dice(logits: Tensor, masks: Tensor) -> float:
    """Dice of all pixels at once, at probability 0.5."""
    known = masks != MISSING_PIXEL
    found, lesion = (logits >= 0) & known, masks == 1
    return 2 * (found & lesion).sum().item() / (found.sum() + lesion.sum()).item()
