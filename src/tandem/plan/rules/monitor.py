"""The value that selects the best epoch."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt
from tandem.plan.rules.threshold import lesions_in_val

FEW = 12
"""Independent images in validation, with a lesion or of the rarest class, below which a loss is steadier."""


def choose(found: Fingerprint) -> Choice:
    """The task's own metric, or the loss where validation has few images."""
    tasks = learnt(found)
    share = found.splits.get("val", 0) / max(1, found.images) or 0.15
    if {"segmentation", "semantic"} & set(tasks):
        count, what = lesions_in_val(found), "independent lesion images"
    elif "classification" in tasks:
        count, what = share * min(found.units_of.values()), "independent images of the rarest class"
    else:
        return Choice("the task's own")
    said = f"about {count:.0f} {what} in validation"
    if count >= FEW:
        return Choice(f"{said}, enough for the task's own metric")
    return Choice(f"{said}, where a loss is steadier than a rate", {"monitor": "val/loss", "mode": "min"})


RULE = Rule(
    question="monitor",
    place=130,
    source="a recall over 10 images has steps of 0.1",
    range="the first task's metric, or val/loss",
    choose=choose,
)
