"""The multilabel task: which findings are present?"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.tasks.pooled import PooledTask


class MultilabelTask(PooledTask):
    """Answers a yes/no question for each finding of the data set; an image may have any number of findings.

    A finding that is unknown in a row is ignored; the row's other findings count. Arguments and errors: `PooledTask`.
    """

    kind: ClassVar[str] = "binary"
    target: ClassVar[str] = "findings"

    @property
    def channels(self) -> int:
        """One logit per finding."""
        return len(self.data.findings)

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the findings."""
        return self.data.findings

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows with at least one known finding."""
        return (target != MISSING_PIXEL).any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Applies the sigmoid to each finding."""
        return torch.sigmoid(logits)
