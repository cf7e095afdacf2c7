"""Augmentation by modality."""

import math

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.channels import colour

ORIENTED = 0.3
"""Mean over standard deviation of the difference between upper and lower half, from which images have an up."""

MANY = 5000
"""Images from which small changes are enough."""


def oriented(found: Fingerprint) -> bool:
    """Whether images have an up and a down; assumed where it is not known."""
    return math.isnan(found.upright) or abs(found.upright) >= ORIENTED


def choose(found: Fingerprint) -> Choice:
    """`strong` turns and recolours, `medical` keeps up and down, `light` is for many images."""
    said = f"upper and lower half differ by {found.upright:.2f} standard deviations"
    if oriented(found):
        name = "light" if found.train >= MANY else "medical"
        return Choice(
            f"{said}, so images have an up: no vertical flips; {found.train} images", groups={"augment": name}
        )
    if colour(found):
        return Choice(f"{said}, so any turn is possible; colours vary", groups={"augment": "strong"})
    values = {"augment.vertical_flip": 0.5, "augment.rotate": 180.0}
    return Choice(f"{said}, so any turn is possible", values, {"augment": "medical"})


RULE = Rule(
    question="augmentation",
    place=100,
    source="depth has a meaning in ultrasound, none in a skin image; conf/augment",
    range="light, medical, strong",
    choose=choose,
)
