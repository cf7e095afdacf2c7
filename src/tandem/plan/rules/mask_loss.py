"""Loss of the mask."""

import math

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt

SMALL = 0.01
"""Median share of the lesion below which pixels without lesion drown it."""


def choose(found: Fingerprint) -> Choice:
    """Dice and cross-entropy; Dice and focal for small lesions, whose bias begins at their share of pixels."""
    if "semantic" in learnt(found):
        return of_classes(found)
    if "segmentation" not in learnt(found):
        return Choice("no lesion mask is learnt")
    key = "loss/binary@tasks.segmentation.loss"
    empty = found.empty / max(1, found.empty + found.filled)
    said = f"the median lesion is {found.areas[1]:.2%} of the image, and {empty:.0%} of the masks are empty"
    if math.isnan(found.areas[1]) or found.areas[1] >= SMALL:
        return Choice(f"{said}; the BCE teaches from empty masks too", groups={key: "dice_bce"})
    return Choice(f"{said}, so easy pixels count less", {"tasks.segmentation.prior_bias": True}, {key: "dice_focal"})


def of_classes(found: Fingerprint) -> Choice:
    """The same for masks of several classes."""
    said = f"everything but {found.mask_classes[0]} covers {found.areas[1]:.2%} of the median image"
    name = "dice_focal" if found.areas[1] < SMALL else "dice_ce"
    return Choice(said, groups={"loss/multiclass@tasks.semantic.loss": name})


RULE = Rule(
    question="loss of the mask",
    place=90,
    source="nnU-Net (Dice and cross-entropy); RetinaNet (Lin et al. 2017: focal loss, bias at the prior)",
    range="dice_bce or dice_focal; of classes: dice_ce or dice_focal",
    choose=choose,
)
