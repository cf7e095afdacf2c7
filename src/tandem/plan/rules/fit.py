"""How an image that is not square becomes one."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint

LONG = 1.5
"""Longer over shorter side from which stretching changes shapes more than augmentation does (scale 0.85 to 1.2)."""


def choose(found: Fingerprint) -> Choice:
    """`pad` keeps the shapes of long images; otherwise they are stretched."""
    said = f"the median ratio of the sides is {found.aspect:.2f}"
    if "fit" not in found.options:
        return Choice(f"{said}, and these data have no option for it")
    if "data.fit" in found.given:
        return Choice(f"as typed; {said}")
    if found.aspect < LONG:
        return Choice(f"{said}, below {LONG}, so stretching changes little")
    return Choice(f"{said}, so stretching would change the shapes", {"data.fit": "pad"})


RULE = Rule(
    question="images that are not square",
    place=25,
    source="shape is a feature of malignancy (BI-RADS: taller than wide), which stretching hides",
    range="squash or pad",
    choose=choose,
)
