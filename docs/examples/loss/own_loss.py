"""A loss: the exponential loss of AdaBoost on logits (Freund and Schapire, 1997)."""

import torch
from torch import Tensor

from tandem.losses import BinaryLoss


class Exponential(BinaryLoss):
    """`exp(-y z)` with y = 1 for yes and -1 for no, with the margin cut off at `limit`.

    Args:
        limit: largest margin to either side, above 0, so that one outlier does not rule a batch.
    """

    def __init__(self, limit: float = 3.0) -> None:
        super().__init__()
        self.limit = limit

    def element(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each pixel."""
        margin = (2 * target - 1) * logits
        return torch.exp(-margin.clamp(-self.limit, self.limit))
