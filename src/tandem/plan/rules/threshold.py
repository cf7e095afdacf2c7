"""Threshold of the mask: searched for, or 0.5."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.folds import fold_count
from tandem.plan.rules.tasks import learnt

STABLE = 20
"""Independent lesion images in validation from which the best threshold is that of the task and not of the images."""


def lesions_in_val(found: Fingerprint) -> float:
    """Independent lesion images of the validation split, as far as its share tells."""
    share = found.splits.get("val", 0) / max(1, found.images) or 0.15
    return found.units_filled * share * (1.15 if fold_count(found)[0] > 1 else 1)


def choose(found: Fingerprint) -> Choice:
    """The search where it is stable."""
    if "segmentation" not in learnt(found):
        return Choice("no lesion mask is learnt")
    count = lesions_in_val(found)
    said = f"about {count:.0f} independent lesion images in validation"
    if count >= STABLE:
        return Choice(f"{said}, enough to search for it")
    return Choice(
        f"{said}, too few for a stable search (below {STABLE})",
        {"callbacks.threshold_sweep.low": 0.5, "callbacks.threshold_sweep.high": 0.5},
    )


RULE = Rule(
    question="threshold of the mask",
    place=120,
    source="a maximum over few images is biased; docs/concepts.md",
    range="0.5, or the best from 0.1 to 0.9 on validation",
    choose=choose,
)
