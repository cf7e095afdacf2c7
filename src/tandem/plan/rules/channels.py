"""Grey or colour."""

import math

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint

SHARE = 0.5
"""Share of coloured images from which colour is kept; markers and overlays colour a few grey images."""


def colour(found: Fingerprint) -> bool:
    """Whether images are in colour."""
    return not math.isnan(found.coloured) and found.coloured > SHARE


def choose(found: Fingerprint) -> Choice:
    """Three channels for colour images."""
    if "channels" not in found.options or "data.channels" in found.given:
        return Choice("as typed, or as the data set has them")
    if math.isnan(found.coloured):
        return Choice("colour is not known")
    said = f"{found.coloured:.0%} of the images looked at have colour"
    return Choice(said, {"data.channels": 3}) if colour(found) else Choice(f"{said}, so one grey channel is enough")


RULE = Rule(question="channels", place=22, source="grey RGB files carry no colour", range="1 or 3", choose=choose)
