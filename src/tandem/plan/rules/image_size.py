"""Side of the square images."""

import math

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt

SIDES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)

USUAL = 128
"""Without a reason for more: the size of the published runs in results/curated_busi."""

PIXELS = 4
"""Pixels that all but the thinnest 5 % of lesions stay wide: two on the first feature map, which has stride 2."""

FEWEST_EPOCHS = 20
"""Epochs that have to fit into the budget."""

LEAST = 64
"""Smallest side for the sake of a budget; below, lesions lose their contour."""

BESIDE = 16 * 16
"""Pixels that an image costs beside its own. On one core, a training step of 16 images took 12 ms for an image of 64
pixels, 29 for 96, 47 for 128 and 125 for 192: in proportion to the pixels, but for some 200."""

USED = 0.75
"""Share of the budget for training; the rest is for reading, calibration, evaluation and pages."""


def epoch_seconds(found: Fingerprint, side: int) -> float:
    """Seconds of an epoch of training and validation at a size."""
    return max(1, found.train) * found.speed * millions(side)


def millions(side: int) -> float:
    """What an image costs, in millions of pixels."""
    return (side * side + BESIDE) / 1e6


def wanted(found: Fingerprint) -> int:
    """The size that the lesions ask for, without a budget."""
    if not {"segmentation", "semantic"} & set(learnt(found)) or math.isnan(found.widths[0]):
        return USUAL
    return max(USUAL, next((side for side in SIDES if side * found.widths[0] >= PIXELS), SIDES[-1]))


def side_of(found: Fingerprint) -> int:
    """The side in pixels: what the lesions ask for, at most that of the files, and as much as the budget allows."""
    if not chosen(found):
        return found.size or USUAL
    most = max(SIDES[0], found.side or SIDES[-1])
    affordable = [s for s in SIDES if FEWEST_EPOCHS * epoch_seconds(found, s) <= USED * found.budget]
    return min(wanted(found), max(s for s in SIDES if s <= most), max([LEAST, *affordable]))


def chosen(found: Fingerprint) -> bool:
    """Whether the size is free: images are files, and no size was typed."""
    return found.files and "size" in found.options and "data.size" not in found.given


def choose(found: Fingerprint) -> Choice:
    """The side, with the width of the thin lesions at it."""
    if not chosen(found):
        return Choice(f"{found.size} pixels, as {'typed' if 'data.size' in found.given else 'the data set has them'}")
    side = side_of(found)
    reasons = []
    if not math.isnan(found.widths[0]):
        reasons.append(f"95 % of lesions are at least {found.widths[0] * side:.1f} pixels wide at it")
    if side < wanted(found):
        limit = "the files have no more" if found.side and side >= found.side * 0.8 else "the budget allows no more"
        reasons.append(f"{wanted(found)} would be better, but {limit}")
    reasons.append(f"an epoch takes about {epoch_seconds(found, side):.3g} s")
    return Choice("; ".join(reasons), {"data.size": side})


RULE = Rule(
    question="image size",
    place=20,
    source="nnU-Net (Isensee et al. 2021) keeps the spacing and cuts patches; a resized image has to keep thin lesions",
    range=f"{SIDES[0]} to {SIDES[-1]} pixels",
    choose=choose,
)
