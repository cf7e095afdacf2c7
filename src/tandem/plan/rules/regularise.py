"""Dropout of answers about the whole image, soft labels of the class."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt

FEW = 2000
"""Labelled images below which a classifier grows too sure of itself."""


def choose(found: Fingerprint) -> Choice:
    """Both for few labelled images."""
    tasks = [task for task in learnt(found) if task in ("classification", "multilabel")]
    if not tasks:
        return Choice("no class or finding is learnt")
    if found.many >= FEW:
        return Choice(f"{found.many} labelled images, not fewer than {FEW}")
    values = {f"tasks.{task}.dropout": 0.3 for task in tasks}
    if "classification" in tasks:
        values["tasks.classification.loss.label_smoothing"] = 0.1
    return Choice(f"{found.many} labelled images are few", values)


RULE = Rule(
    question="dropout and soft labels",
    place=85,
    source="Mueller et al. 2019 (calibration); values of conf/experiment/curated_busi_best.yaml",
    range="0 and 0, or 0.3 and 0.1",
    choose=choose,
)
