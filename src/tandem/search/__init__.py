"""Adaptive search: a sampler chooses the hyperparameters of each run from the results of the runs before it."""

from tandem.search.command import main
from tandem.search.pruners import Hyperband, Median, NoPruning

__all__ = ["Hyperband", "Median", "NoPruning", "main"]
