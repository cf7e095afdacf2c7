"""Weights of several tasks."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt


def choose(found: Fingerprint) -> Choice:
    """Fixed weights; answers about the whole image count half beside a mask."""
    tasks = learnt(found)
    if len(tasks) < 2:
        return Choice("one task")
    masked = {"segmentation", "semantic"} & set(tasks)
    why = f"{found.many} images with a class or finding and {found.filled + found.empty} masks" if masked else "no mask"
    halves = {f"balance.weights.{task}": 0.5 for task in tasks if masked and task not in masked}
    return Choice(f"{why}; a learnt weight needs more steps", halves, {"balance": "fixed"})


RULE = Rule(
    question="weights of the tasks",
    place=110,
    source="Kurin et al. 2022: fixed weights rival learnt ones; 0.5 as in conf/experiment/curated_busi_best.yaml",
    range="fixed",
    choose=choose,
)
