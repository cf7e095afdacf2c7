"""Losses for one class out of C, for labels and dense masks; see `MulticlassLoss` for the shapes."""

from tandem.losses.multiclass.overlap import Dice, Lovasz, OverlapLoss, Tversky
from tandem.losses.multiclass.pixels import CrossEntropy, Focal, Hinge, Poly

__all__ = ["CrossEntropy", "Dice", "Focal", "Hinge", "Lovasz", "OverlapLoss", "Poly", "Tversky"]
