"""Losses: logits in, a scalar or named terms out; one module for each kind of target.

A loss is one small class in the module of its kind (`tandem.losses.binary.Dice`) and one yaml that names it; there is
no registry and nothing to add here. What a new loss builds on: `BinaryLoss`, `MulticlassLoss`, `RegressionLoss` or
`EmbeddingLoss` (they check, upcast and blank out what has no target), `tandem.losses.reduce` (means that nothing
dilutes) and `tandem.losses.functional` (the equations). The rules that each yaml's loss is tested against are in
`tests/losses/test_rules.py`.
"""

from tandem.losses.composite import Composite
from tandem.losses.contract import KINDS, BinaryLoss, EmbeddingLoss, Kind, Loss, MulticlassLoss, RegressionLoss

__all__ = ["KINDS", "BinaryLoss", "Composite", "EmbeddingLoss", "Kind", "Loss", "MulticlassLoss", "RegressionLoss"]
