"""An adversary for predicted masks: a discriminator, what it and the network play for, and its own optimiser."""

from tandem.adversarial.adversary import Adversary
from tandem.adversarial.discriminator import PatchDiscriminator
from tandem.adversarial.objectives import NonSaturating, Objective, Standard, WassersteinGP

__all__ = ["Adversary", "NonSaturating", "Objective", "PatchDiscriminator", "Standard", "WassersteinGP"]
