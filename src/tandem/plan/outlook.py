"""The tables of *what can be learnt from so few*, from a fingerprint and the number of folds."""

import math
from dataclasses import dataclass

from tandem.plan.fingerprint import Fingerprint
from tandem.plan.precision import DICE_SPREAD, RECALL, RUN_SPREAD, mean_width, seen_difference, wilson_width
from tandem.plan.rules.folds import fold_count
from tandem.plan.rules.tasks import clear_findings, learnt

SEEDS = (1, 3, 5, 10)


@dataclass(frozen=True)
class Outlook:
    """What to expect of a test.

    Attributes:
        recalls: by class or finding: test images, independent ones, expected width of the interval of its recall, the
            width with four times as many.
        dice: test images with a lesion, independent ones, width of the interval of the mean Dice, with four times as
            many; None without a mask task.
        differences: seeds, runs, and the smallest difference in Dice that can be seen.
        folds: number of folds; 1 for one split.
        remedy: what would narrow the intervals, in a sentence.
    """

    recalls: dict[str, tuple[int, int, float, float]]
    dice: tuple[int, int, float, float] | None
    differences: tuple[tuple[int, int, float], ...]
    folds: int
    remedy: str


def outlook_of(found: Fingerprint) -> Outlook:
    """Computes the outlook.

    Args:
        found: the fingerprint.
    """
    folds, tasks = fold_count(found)[0], learnt(found)
    share = 1.0 if folds > 1 else found.splits.get("test", 0) / max(1, found.images) or 0.15

    def at(images: int, units: int) -> tuple[int, int]:
        return round(share * images), max(1, round(share * units))

    recalls = {}
    for name, images in found.present.items() if "classification" in tasks else ():
        tested, units = at(images, found.units_of[name])
        recalls[name] = (tested, units, wilson_width(RECALL, units), wilson_width(RECALL, 4 * units))
    for name, images in clear_findings(found).items():
        tested, units = at(images, images)
        recalls[name] = (tested, units, wilson_width(RECALL, units), wilson_width(RECALL, 4 * units))
    dice = None
    if {"segmentation", "semantic"} & set(tasks):
        tested, units = at(found.filled, found.units_filled)
        dice = (tested, units, mean_width(DICE_SPREAD, units), mean_width(DICE_SPREAD, 4 * units))
    overlap = 1 / (folds - 1) if folds > 1 else 0.0
    differences = tuple((seeds, seeds * folds, seen_difference(RUN_SPREAD, seeds * folds, overlap)) for seeds in SEEDS)
    return Outlook(recalls, dice, differences, folds, _remedy(found, folds, recalls))


def _remedy(found: Fingerprint, folds: int, recalls: dict[str, tuple[int, int, float, float]]) -> str:
    parts = []
    if folds == 1 and "folds" in found.options:
        parts.append("folds, which test every image and not 15 %: intervals become 2.6 times narrower")
    if recalls:
        rarest = min(recalls, key=lambda name: recalls[name][1])
        count = found.units_of[rarest] if rarest in found.units_of else found.findings[rarest][0]
        parts.append(f"more images of {rarest}, which has the fewest independent ones ({count})")
    elif found.units_filled:
        parts.append("more images with a lesion")
    if found.units < found.images:
        parts.append(
            f"images of other patients: the {found.images} images are {found.units} independent ones, and further "
            "images of the same group narrow nothing"
        )
    parts.append("four times as many images halve an interval, four times as many seeds a difference between losses")
    return "; ".join(parts)


def widest(outlook: Outlook) -> tuple[str, float] | None:
    """The class with the widest interval; None without classes.

    Args:
        outlook: of the data.
    """
    known = {name: row[2] for name, row in outlook.recalls.items() if not math.isnan(row[2])}
    return max(known.items(), key=lambda item: item[1]) if known else None
