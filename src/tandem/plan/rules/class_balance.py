"""Class weights or sampling."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.tasks import learnt

WEIGHTS, SAMPLING = 2.0, 10.0
"""Most frequent over rarest class from which the loss is weighted, and from which rows are sampled instead: weights
above 10 make single images dominate a batch."""


def ratio_of(found: Fingerprint) -> float:
    """Images of the most frequent class for each of the rarest."""
    counts = list(found.present.values())
    return max(counts) / min(counts) if counts else 1.0


def choose(found: Fingerprint) -> Choice:
    """Weights for moderate imbalance, sampling for a strong one."""
    if "classification" not in learnt(found):
        return Choice("no class is learnt")
    ratio = ratio_of(found)
    said = f"the most frequent class has {ratio:.3g} times the images of the rarest"
    if ratio < WEIGHTS:
        return Choice(f"{said}, below {WEIGHTS:g}")
    if ratio < SAMPLING:
        return Choice(said, {"tasks.classification.loss.weight": "balanced"})
    return Choice(f"{said}, too many for weights", {"loader.sampling": "balanced"})


RULE = Rule(
    question="class imbalance",
    place=80,
    source="Buda et al. 2018: oversampling for strong imbalance in convolutional networks",
    range="none, balanced weights, balanced sampling",
    choose=choose,
)
