"""Augments whole batches, image and mask together, as a pure function of the batch and its random numbers."""

from tandem.data.augment.augment import Augment

__all__ = ["Augment"]
