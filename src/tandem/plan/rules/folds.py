"""Folds or one split."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.image_size import FEWEST_EPOCHS, USED, epoch_seconds, side_of
from tandem.plan.rules.tasks import LEAST_UNITS, clear_findings, learnt

FOLDS = (5, 3)

PLENTY = 200
"""Test images of the rarest class, or with a lesion, from which one split is enough: an interval of a recall of 0.8
is then 11 points wide."""


def fold_count(found: Fingerprint) -> tuple[int, str]:
    """The number of folds, 1 for one split, and why."""
    if {"data.folds", "data.split_file", "data.fractions"} & found.given.keys():
        return int(found.given.get("data.folds") or 1), "as typed"
    if "folds" not in found.options:
        return 1, "these data have their own splits"
    if found.published:
        return 1, "the data come with a split, which others use too"
    counts = list(found.units_of.values()) if "classification" in learnt(found) else []
    counts += [found.units_filled] if {"segmentation", "semantic"} & set(learnt(found)) else []
    counts += clear_findings(found).values()
    rarest = min([count for count in counts if count >= LEAST_UNITS] or [0])
    if 0.15 * rarest >= PLENTY:
        return 1, f"a test split of 15 % has {0.15 * rarest:.0f} or more of each kind"
    room = USED * found.budget / (FEWEST_EPOCHS * epoch_seconds(found, side_of(found)))
    for folds in FOLDS:
        if rarest >= folds and room >= folds:
            each = f"the rarest kind has {rarest} independent images: as folds, all of them are tested, not 15 %"
            return folds, each
    if rarest < FOLDS[-1]:
        return 1, f"the rarest kind has {rarest} independent images, too few for {FOLDS[-1]} folds"
    return 1, f"the budget allows {FEWEST_EPOCHS} epochs {room:.1f} times, too few for {FOLDS[-1]} folds"


def choose(found: Fingerprint) -> Choice:
    """Folds where the test set would be small, and the budget allows."""
    folds, why = fold_count(found)
    if folds == 1 or "data.folds" in found.given:
        return Choice(f"one split: {why}" if folds == 1 else why)
    return Choice(why, {"data.folds": folds, "data.fold": 0})


RULE = Rule(
    question="folds",
    place=50,
    source="cross-validation (Kohavi 1995); a test set of few images has wide intervals, see the page",
    range="one split, 3 or 5 folds",
    choose=choose,
)
