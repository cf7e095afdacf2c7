"""Adaptive search: a sampler chooses each run's settings by what came of those before it."""

from tandem.search.command import main
from tandem.search.pruners import Hyperband, Median, NoPruning

__all__ = ["Hyperband", "Median", "NoPruning", "main"]
