"""Which class is it?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tandem.data.batch import MISSING_LABEL
from tandem.data.datamodule import DataInfo
from tandem.tasks.pooled import PooledTask
from tandem.tasks.target_statistics import check_prior_bias


class ClassificationTask(PooledTask):
    """One class of C for each picture. Metrics are told `num_classes`.

    Args:
        name: the task's name.
        data: what is known of the data.
        loss: a multiclass loss.
        metrics: makers of torchmetrics metrics.
        pool: how the map becomes a vector: `avg`, `max`, `avgmax` or `catavgmax`.
        dropout: before the last layer, in [0, 1).
        prior_bias: whether the last layer begins with the bias that answers with the classes' shares in training.

    Raises:
        ConfigError: an unknown pooling, a value out of range.
    """

    kind: ClassVar[str] = "multiclass"
    target: ClassVar[str] = "label"

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        metrics: Mapping[str, Any] | None = None,
        pool: str = "avg",
        dropout: float = 0.0,
        prior_bias: bool = False,
    ) -> None:
        super().__init__(name, data, loss, metrics, pool, dropout)
        self.prior_bias = check_prior_bias(prior_bias, shares=False)

    @property
    def channels(self) -> int:
        """One logit for each class."""
        return len(self.data.classes)

    @property
    def class_names(self) -> Sequence[str]:
        """The data set's names."""
        return self.data.classes

    def metric_arguments(self) -> dict[str, Any]:
        """The number of classes."""
        return {"num_classes": self.channels}

    def labelled(self, target: Tensor) -> Tensor:
        """Rows whose label is not -100."""
        return target != MISSING_LABEL

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes."""
        return torch.softmax(logits, dim=1)
