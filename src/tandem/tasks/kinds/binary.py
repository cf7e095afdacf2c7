"""Base of the binary kinds: yes/no questions about images or pixels."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.reached import reached
from tandem.tasks.kinds.kind import Kind, Tally


@dataclass(frozen=True)
class Binary(Kind):
    """C yes/no questions, each with a threshold of its own."""

    name: str = "binary"
    thresholds: ClassVar[bool] = True
    countable: ClassVar[bool] = True
    watched: ClassVar[bool] = True
    given_share: ClassVar[bool] = True

    def decide(self, probabilities: Tensor, threshold: Tensor) -> Tensor:
        """Returns whether each probability reaches its channel's threshold, bool in the shape of the probabilities."""
        return reached(probabilities, threshold)

    def tally(self, probabilities: Tensor, target: Tensor, threshold: Tensor) -> Tally:
        """Counts the answers yes by channel."""
        known = target != MISSING_PIXEL
        chosen = self.decide(probabilities, threshold) & known
        return Tally(_by_channel(chosen), _by_channel((target == 1) & known), _by_channel(known))

    def count(self, target: Tensor, channels: int) -> Tensor:
        """Returns (C, 2): how often no and yes occur in each channel."""
        of_channel = target.reshape(len(target), channels, -1)
        yes = (of_channel == 1).sum((0, 2))
        known = (of_channel != MISSING_PIXEL).sum((0, 2))
        return torch.stack([known - yes, yes], dim=1)

    def prior(self, counts: Tensor) -> Tensor:
        """Returns the (C,) shares of yes."""
        exact = counts.double()
        return exact[:, 1] / exact.sum(1)

    def bias(self, share: float) -> float:
        r"""Returns \(\log(\pi / (1 - \pi))\), whose sigmoid is the share."""
        return math.log(share / (1 - share))

    def absent(self, row: Tensor, name: str) -> str:
        """Names the answer that never occurs."""
        return "background" if row[1] else "foreground"


def _by_channel(answers: Tensor) -> Tensor:
    return answers.transpose(0, 1).flatten(1).sum(1)
