"""Made-up ultrasound pictures with lesions, drawn from a formula: a data set that needs no files."""

from tandem.data.phantom.knobs import Knobs
from tandem.data.phantom.render import render
from tandem.data.phantom.source import Phantom

__all__ = ["Knobs", "Phantom", "render"]
