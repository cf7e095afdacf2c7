"""Losses: logits in, a scalar or named terms out; one module for each kind of target.

A loss is one small class in the module of its kind (`tandem.losses.binary.Dice`) and one yaml that names it; there is
no registry and nothing to add here. What a new loss builds on: `BinaryLoss`, `MulticlassLoss`, `RegressionLoss` or
`EmbeddingLoss` (they check, upcast and blank out what has no target), `tandem.losses.reduce` (means that nothing
dilutes) and `tandem.losses.functional` (the equations). The rules that each yaml's loss is tested against are in
`tests/losses/test_rules.py`.

For any code, `from tandem.losses import Dice, Focal` gives the losses for yes/no questions; those of the other kinds
are here if their name is theirs alone (`CrossEntropy`, `MSE`, `SupCon`), and in their modules
(`tandem.losses.multiclass.Dice`).

Example:
    >>> import torch
    >>> from tandem.losses import Dice, Focal, multiclass
    >>> logits, mask = torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    >>> Dice()(logits, mask), Focal(gamma=2)(logits, 0.9 * mask)  # a soft target, as label smoothing gives
    (tensor(0.3333), tensor(0.1109))
    >>> multiclass.Dice()(torch.zeros(2, 3, 8, 8), torch.ones(2, 8, 8, dtype=torch.int64))
    tensor(0.6627)
"""

from tandem.losses import binary, embedding, multiclass, regression
from tandem.losses.binary import (
    BCE,
    Asymmetric,
    BalancedBCE,
    BCEFocal,
    Boundary,
    Brier,
    CenterlineDice,
    Dice,
    Focal,
    FocalTversky,
    Hausdorff,
    Hinge,
    Jaccard,
    Lovasz,
    Tversky,
    UnifiedFocal,
)
from tandem.losses.composite import Composite
from tandem.losses.contract import KINDS, BinaryLoss, EmbeddingLoss, Kind, Loss, MulticlassLoss, RegressionLoss
from tandem.losses.embedding import Contrastive, SupCon, Triplet
from tandem.losses.multiclass import CrossEntropy, Poly
from tandem.losses.regression import MAE, MSE, Huber

__all__ = [
    "BCE", "KINDS", "MAE", "MSE", "Asymmetric", "BCEFocal", "BalancedBCE", "BinaryLoss", "Boundary", "Brier",
    "CenterlineDice", "Composite", "Contrastive", "CrossEntropy", "Dice", "EmbeddingLoss", "Focal", "FocalTversky",
    "Hausdorff", "Hinge", "Huber", "Jaccard", "Kind", "Loss", "Lovasz", "MulticlassLoss", "Poly", "RegressionLoss",
    "SupCon", "Triplet", "Tversky", "UnifiedFocal", "binary", "embedding", "multiclass", "regression",
]  # fmt: skip
