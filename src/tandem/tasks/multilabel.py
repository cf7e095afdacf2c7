"""Which findings are there?"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.tasks.pooled import PooledTask


class MultilabelTask(PooledTask):
    """A yes/no question about the picture for each of the data set's findings; any number of them may be there.

    A finding that is unknown in a row counts nowhere, and the row's others do. Arguments and errors: `PooledTask`.
    """

    kind: ClassVar[str] = "binary"
    target: ClassVar[str] = "findings"

    @property
    def channels(self) -> int:
        """One logit for each finding."""
        return len(self.data.findings)

    @property
    def class_names(self) -> Sequence[str]:
        """The findings."""
        return self.data.findings

    def labelled(self, target: Tensor) -> Tensor:
        """Rows of which at least one finding is known."""
        return (target != MISSING_PIXEL).any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Sigmoid for each finding."""
        return torch.sigmoid(logits)
