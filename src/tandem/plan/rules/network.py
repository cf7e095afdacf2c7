"""Backbone, its depth and its weights."""

import math
from typing import Any

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.image_size import side_of

WIDTHS = (64, 48, 32, 24, 16)
"""Channels of the decoder from the deepest level up."""

MANY = 5000
"""Images from which a residual network from random weights is worth its time on a GPU."""

DEEPEST = 4
"""Pixels of the deepest feature map, at least."""


def depth_of(side: int) -> int:
    """Feature levels, so that the deepest map keeps `DEEPEST` pixels a side.

    Example:
        >>> [depth_of(side) for side in (28, 32, 64, 128, 512)]
        [3, 3, 4, 5, 5]
    """
    return min(5, max(3, int(math.log2(side / DEEPEST))))


def backbone_of(found: Fingerprint) -> tuple[str, str]:
    """The backbone, and why."""
    if found.machine.weights:
        name = found.machine.weights.split(".")[0].split("-")[0]
        return name, f"pretrained weights are there ({found.machine.weights})"
    if found.machine.gpu and found.train >= MANY:
        return "resnet18", f"{found.train} training images and a GPU; no pretrained weights are there"
    where = "no pretrained weights are there" if not found.machine.gpu else f"{found.train} training images"
    return "small_cnn", f"{where}, and from random weights it beats timm's small backbones on few images"


def choose(found: Fingerprint) -> Choice:
    """Backbone and depth."""
    name, why = backbone_of(found)
    depth = depth_of(side_of(found))
    values: dict[str, Any] = {"network.backbone": name}
    if name != "small_cnn":
        depth = 5
    if depth < 5:
        values |= {"network.depth": depth, "network.decoder_options.decoder_channels": list(WIDTHS[5 - depth :])}
        why += f"; {depth} levels, so that the deepest map of {side_of(found)} pixels keeps {DEEPEST} a side"
    if found.machine.weights:
        values |= {
            "network.weights": "${oc.env:TANDEM_WEIGHTS,null}",
            "parameters.lr_factors": {"network.encoder": 0.1},
        }
    return Choice(why, values, {"network": "unet"})


RULE = Rule(
    question="network",
    place=30,
    source="U-Net (Ronneberger et al. 2015); conf/experiment/busi.yaml for the backbone; nnU-Net for the depth",
    range="small_cnn, resnet18 or the backbone of $TANDEM_WEIGHTS; 3 to 5 levels",
    choose=choose,
)
