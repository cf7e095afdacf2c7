"""Refinements: the class and the mask of an image are made to agree, as a paper's rows or a tensor."""

from tandem.refine.consistency import Consistency
from tandem.refine.empty_by_probability import EmptyByProbability
from tandem.refine.predicted import Overlaps, Predicted, Refinement

__all__ = ["Consistency", "EmptyByProbability", "Overlaps", "Predicted", "Refinement"]
