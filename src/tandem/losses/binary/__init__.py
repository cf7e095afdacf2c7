"""Losses for yes/no questions: a lesion mask, a diagnosis, several labels at once; see `BinaryLoss` for the shapes."""

from tandem.losses.binary.focal import Asymmetric, BCEFocal, Focal
from tandem.losses.binary.overlap import Dice, FocalTversky, Jaccard, Lovasz, OverlapLoss, Tversky
from tandem.losses.binary.pixels import BCE, BalancedBCE, Brier, Hinge
from tandem.losses.binary.shape import Boundary, CenterlineDice, Hausdorff, ShapeLoss
from tandem.losses.binary.unified import UnifiedFocal

__all__ = [
    "BCE",
    "Asymmetric",
    "BCEFocal",
    "BalancedBCE",
    "Boundary",
    "Brier",
    "CenterlineDice",
    "Dice",
    "Focal",
    "FocalTversky",
    "Hausdorff",
    "Hinge",
    "Jaccard",
    "Lovasz",
    "OverlapLoss",
    "ShapeLoss",
    "Tversky",
    "UnifiedFocal",
]
