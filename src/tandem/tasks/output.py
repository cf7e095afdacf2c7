"""The output of a task for a batch, and the only thing that callbacks may read."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class TaskOutput(NamedTuple):
    """A task's output for the rows of a batch that have its target.

    Attributes:
        probabilities: (M, C) or (M, C, H, W) float32 in [0, 1], without gradient.
        target: the target of these rows, as the task's losses take it.
        losses: named terms of the loss, weighted, scalars; the task minimises their sum. A loss with a single term
            uses the name "".
        rows: (M,) int64, indices of these rows in the batch.
        logit_range: (2,) smallest and largest logit, to detect probabilities passed as logits.
        unweighted: the terms of the loss without their weights, scalars without gradient.
        ids: names of all images of the batch, of which `rows` are these; empty where they are not known.
        spacing: (M, 2) float32, height and width of a pixel in millimetres, nan where unknown; None if it is unknown in
            the whole data set.
    """

    probabilities: Tensor
    target: Tensor
    losses: dict[str, Tensor]
    rows: Tensor
    logit_range: Tensor
    unweighted: dict[str, Tensor]
    ids: Sequence[str] = ()
    spacing: Tensor | None = None

    @property
    def loss(self) -> Tensor:
        """The task's loss, a scalar with gradient: the sum of `losses`."""
        return sum(self.losses.values(), start=self.probabilities.new_zeros(()))
