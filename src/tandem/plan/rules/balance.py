"""Weights of several tasks."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt


def choose(found: Fingerprint) -> Choice:
    """Fixed weights; the class counts half beside a lesion mask."""
    tasks = learnt(found)
    if len(tasks) < 2:
        return Choice("one task")
    why = f"{found.labelled} classes and {found.filled + found.empty} masks; a learnt weight needs more steps"
    return Choice(why, {"balance.weights.classification": 0.5}, {"balance": "fixed"})


RULE = Rule(
    question="weights of the tasks",
    place=110,
    source="Kurin et al. 2022: fixed weights rival learnt ones; 0.5 as in conf/experiment/curated_busi_best.yaml",
    range="fixed",
    choose=choose,
)
