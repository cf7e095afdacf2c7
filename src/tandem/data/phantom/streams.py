"""Streams of random numbers, one for each purpose, so that a change of one part of an image does not affect others."""

from enum import IntEnum, auto


class Stream(IntEnum):
    """Stream numbers; their order determines the images, so new ones go to the end."""

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
