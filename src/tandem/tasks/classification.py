"""Which class is it?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tandem.data.batch import MISSING_LABEL
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.hints import nearest
from tandem.network.features import FeatureChannels, Features
from tandem.tasks.task import Task

POOLS = ("avg", "max", "avgmax", "catavgmax")


class ClassificationHead(nn.Module):
    """Pools the deepest map, drops out, and maps to logits.

    Args:
        channels: of the deepest map.
        classes: logits.
        pool: timm's pooling: `avg`, `max`, `avgmax` or `catavgmax`.
        dropout: share of pooled features that is dropped in training, in [0, 1).
    """

    def __init__(self, channels: int, classes: int, pool: str, dropout: float) -> None:
        super().__init__()
        from timm.layers import SelectAdaptivePool2d

        self.pool = SelectAdaptivePool2d(pool_type=pool, flatten=True)
        self.drop = nn.Dropout(dropout)
        self.logits = nn.Linear(channels * self.pool.feat_mult(), classes)

    def forward(self, features: Features) -> Tensor:
        """`Features` to (N, classes) logits."""
        logits: Tensor = self.logits(self.drop(self.pool(features.deep)))
        return logits


class ClassificationTask(Task):
    """One class of C for each picture, from the backbone's deepest map.

    Args:
        name: the task's name.
        data: names the classes.
        loss: a multiclass loss.
        metrics: makers of torchmetrics metrics; each is told `num_classes`.
        pool: how the map becomes a vector: `avg`, `max`, `avgmax` or `catavgmax`.
        dropout: before the last layer, in [0, 1).

    Raises:
        ConfigError: an unknown pooling, a dropout out of range.
    """

    kind: ClassVar[str] = "multiclass"
    target: ClassVar[str] = "label"
    dense: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        metrics: Mapping[str, Any] | None = None,
        pool: str = "avg",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(name, data, loss, metrics)
        if pool not in POOLS:
            raise ConfigError(f"no pooling '{pool}': {nearest(pool, POOLS)}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout is {dropout}, but must lie in [0, 1)")
        self.pool = pool
        self.dropout = dropout

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

    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """Pooling and a linear layer."""
        return ClassificationHead(channels.deep, self.channels, self.pool, self.dropout)

    def labelled(self, target: Tensor) -> Tensor:
        """Rows whose label is not -100."""
        return target != MISSING_LABEL

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax over the classes."""
        return torch.softmax(logits, dim=1)
