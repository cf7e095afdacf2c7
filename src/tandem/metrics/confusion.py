"""Base of the scores that follow from a confusion matrix of the whole split."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class Confusion(Metric):
    """Base of metrics over true and predicted classes; counts are whole numbers, so batches change no bit.

    Shapes:
        probabilities: (N, C) or (N, C, *spatial), float; or predicted classes, (N,) or (N, *spatial), integer.
        target: (N,) or (N, *spatial) class indices, or `ignore_index`.

    A row or pixel with a probability that is nan has no predicted class; it makes the metric nan.

    Args:
        num_classes: C.
        ignore_index: target value that is left out, or None.
    """

    full_state_update = False
    higher_is_better = True
    cells: Tensor

    def __init__(self, num_classes: int, ignore_index: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        # the last column counts rows without a predicted class
        self.add_state("cells", torch.zeros(num_classes, num_classes + 1, dtype=torch.int64), "sum")

    def counts_key(self) -> tuple[int, int | None]:
        """Number of classes, and the target value that is left out."""
        return self.num_classes, self.ignore_index

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        predicted = probabilities
        if probabilities.is_floating_point():
            predicted = probabilities.argmax(1).masked_fill(probabilities.isnan().any(1), self.num_classes)
        known = torch.ones_like(target, dtype=torch.bool) if self.ignore_index is None else target != self.ignore_index
        place = target.long() * (self.num_classes + 1) + predicted
        found = torch.zeros_like(self.cells).flatten()  # index_add_ waits for no device
        found.index_add_(0, place.masked_fill(~known, 0).flatten(), known.flatten().long())
        self.cells = self.cells + found.view_as(self.cells)

    def matrix(self) -> Tensor:
        """(C, C) counts in float64; rows are true classes. All nan if a row has no predicted class."""
        undefined = self.cells[:, -1].sum() > 0
        return self.cells[:, :-1].double().masked_fill(undefined, torch.nan)
