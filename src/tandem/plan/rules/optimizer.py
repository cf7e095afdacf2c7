"""Learning rate and its schedule, averaged weights."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.batch import batch_of
from tandem.plan.rules.epochs import epochs_of

AVERAGED = 1000
"""Steps from which averaged weights (decay 0.99: the last hundred steps) help rather than lag."""


def choose(found: Fingerprint) -> Choice:
    """AdamW at 1e-3 with a cosine; averaged weights in longer runs."""
    size, together = batch_of(found)
    steps = epochs_of(found) * max(1, found.train // (size * together))
    groups = {"optimizer": "adamw", "scheduler": "cosine"}
    why = f"a rate for about {steps} steps from random weights, down to 0"
    if steps >= AVERAGED:
        groups["callbacks"] = "ema"
        why += f"; from {AVERAGED} steps on, averaged weights"
    return Choice(why, {"optimizer.lr": 1e-3}, groups)


RULE = Rule(
    question="optimiser",
    place=70,
    source="AdamW (Loshchilov and Hutter 2019); rate and averaging as in conf/experiment/curated_busi_best.yaml",
    range="1e-3; averaged or not",
    choose=choose,
)
