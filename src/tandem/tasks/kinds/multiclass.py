"""Base of the multiclass kinds: one of C classes per image or pixel."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tandem.tasks.kinds.kind import Kind, Tally


@dataclass(frozen=True)
class Multiclass(Kind):
    """One of C classes."""

    name: str = "multiclass"
    exclusive: ClassVar[bool] = True
    countable: ClassVar[bool] = True
    watched: ClassVar[bool] = True

    def decide(self, probabilities: Tensor, threshold: Tensor) -> Tensor:
        """Returns (N, *spatial) int64: the most probable class."""
        return probabilities.argmax(dim=1)

    def tally(self, probabilities: Tensor, target: Tensor, threshold: Tensor) -> Tally:
        """Counts rows or pixels by class."""
        target = target.long()
        classes = probabilities.shape[1]
        known = (target >= 0) & (target < classes)  # excludes -100, and 255 unless it is a class
        chosen = torch.bincount(self.decide(probabilities, threshold)[known], minlength=classes)
        return Tally(chosen, torch.bincount(target[known], minlength=classes), known.sum())

    def count(self, target: Tensor, channels: int) -> Tensor:
        """Returns (C,): how often each class occurs."""
        values = target.flatten().long()
        return torch.bincount(values[(values >= 0) & (values < channels)], minlength=channels)

    def prior(self, counts: Tensor) -> Tensor:
        """Returns the (C,) shares of the classes."""
        exact = counts.double()
        return exact / exact.sum()

    def bias(self, share: float) -> float:
        r"""Returns \(\log \pi_c\), whose softmax is the share."""
        return math.log(share)
