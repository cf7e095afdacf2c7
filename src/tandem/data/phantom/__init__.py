"""Synthetic ultrasound images with lesions, drawn from a formula: a data set that needs no files."""

from tandem.data.phantom.params import PhantomParams
from tandem.data.phantom.render import render
from tandem.data.phantom.source import Phantom

__all__ = ["Phantom", "PhantomParams", "render"]
