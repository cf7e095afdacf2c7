"""What questions with one answer out of C share, about images and about pixels."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tandem.tasks.kinds.kind import Kind, Tally


@dataclass(frozen=True)
class Multiclass(Kind):
    """One class of C."""

    name: str = "multiclass"
    exclusive: ClassVar[bool] = True
    countable: ClassVar[bool] = True
    watched: ClassVar[bool] = True

    def decide(self, probabilities: Tensor, threshold: Tensor) -> Tensor:
        """(N, *spatial) int64: the likeliest class."""
        return probabilities.argmax(dim=1)

    def tally(self, probabilities: Tensor, target: Tensor, threshold: Tensor) -> Tally:
        """Rows or pixels by class."""
        target = target.long()
        classes = probabilities.shape[1]
        known = (target >= 0) & (target < classes)  # -100, and 255 where that is no class
        chosen = torch.bincount(self.decide(probabilities, threshold)[known], minlength=classes)
        return Tally(chosen, torch.bincount(target[known], minlength=classes), known.sum())

    def count(self, target: Tensor, channels: int) -> Tensor:
        """(C,): how often each class occurs."""
        values = target.flatten().long()
        return torch.bincount(values[(values >= 0) & (values < channels)], minlength=channels)

    def prior(self, counts: Tensor) -> Tensor:
        """(C,) shares of the classes."""
        exact = counts.double()
        return exact / exact.sum()

    def bias(self, share: float) -> float:
        r"""\(\log \pi_c\), of which the softmax is the share."""
        return math.log(share)
