"""A task of a new kind: ordinal regression, for classes that have an order (Frank and Hall, 2001)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from tandem.losses import Loss
from tandem.tasks.pooled import PooledTask


class Cumulative(Loss):
    """The mean cross-entropy of the C - 1 questions `is the class above k?`."""

    kind = "ordinal"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """(N, C - 1) logits and (N,) classes to a scalar."""
        above = target[:, None] > torch.arange(logits.shape[1], device=target.device)
        return F.binary_cross_entropy_with_logits(logits.float(), above.float())


class GradeError(Metric):
    """The mean absolute difference of the predicted and the true class."""

    higher_is_better = False
    full_state_update = False
    total: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0), "sum")
        self.add_state("rows", torch.tensor(0), "sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        self.total = self.total + ((probabilities > 0.5).sum(1) - target).abs().sum()
        self.rows = self.rows + len(target)

    def compute(self) -> Tensor:
        """A scalar; nan without rows."""
        return self.total / self.rows


class OrdinalTask(PooledTask):
    """Which class is it, where classes have an order? Arguments and errors: `PooledTask`."""

    kind = "ordinal"
    target = "label"

    @property
    def channels(self) -> int:
        """One logit for each border between two classes."""
        return len(self.data.classes) - 1

    def labelled(self, target: Tensor) -> Tensor:
        """Rows whose class is known."""
        return target >= 0

    def probabilities(self, logits: Tensor) -> Tensor:
        """The probability that the class is above k, for each k."""
        return torch.sigmoid(logits)

    def answer_from(self, probabilities: Tensor) -> dict[str, Any]:
        """The class of one image, for tables."""
        return {"grade": self.data.classes[int((probabilities > 0.5).sum())]}
