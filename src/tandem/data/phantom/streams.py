"""The purposes of random numbers: one stream each, so that changing one part of a picture leaves the others alone."""

from enum import IntEnum, auto


class Stream(IntEnum):
    """Stream numbers; their order is part of what a picture is, so new ones go to the end."""

    LABEL = auto()
    WITHOUT_MASK = auto()
    WITHOUT_LABEL = auto()
    GAIN = auto()
    SPECKLE = auto()
    LAYERS = auto()
    BEND = auto()
    COARSE = auto()
    FINE = auto()
    LOBULES = auto()
    SPOTS = auto()
    SEPTA = auto()
    SHADOWS = auto()
    SHAPE = auto()
    RING = auto()
    SPICULES = auto()
    PLACE = auto()
    ECHO = auto()
