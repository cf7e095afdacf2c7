"""Dropout and soft labels of the class task."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt

FEW = 2000
"""Labelled images below which a classifier grows too sure of itself."""


def choose(found: Fingerprint) -> Choice:
    """Both for few labelled images."""
    if "classification" not in learnt(found):
        return Choice("no class is learnt")
    if found.labelled >= FEW:
        return Choice(f"{found.labelled} labelled images, not fewer than {FEW}")
    values = {"tasks.classification.dropout": 0.3, "tasks.classification.loss.label_smoothing": 0.1}
    return Choice(f"{found.labelled} labelled images are few", values)


RULE = Rule(
    question="dropout and soft labels",
    place=85,
    source="Mueller et al. 2019 (calibration); values of conf/experiment/curated_busi_best.yaml",
    range="0 and 0, or 0.3 and 0.1",
    choose=choose,
)
