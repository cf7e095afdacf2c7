"""Base of the tasks about a whole image: one vector, pooled from the backbone's deepest map."""

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from torch import Tensor, nn

from tandem.config.suggest import nearest
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.network.features import FeatureChannels, Features
from tandem.tasks.task import HeadArguments, Task

POOLS = ("avg", "max", "avgmax", "catavgmax")


class PooledArguments(HeadArguments, total=False):
    """Arguments shared by all tasks about a whole image; documented in `Task` and `PooledTask`."""

    metrics: Mapping[str, Any] | None
    pool: str


class PooledHead(nn.Module):
    """Pools the deepest map, applies dropout, and maps the vector to the outputs by a linear layer.

    Args:
        channels: of the deepest map.
        outputs: number of outputs per image.
        pool: timm's pooling: `avg`, `max`, `avgmax` or `catavgmax`.
        dropout: share of pooled features that is dropped in training, in [0, 1).
    """

    def __init__(self, channels: int, outputs: int, pool: str, dropout: float) -> None:
        super().__init__()
        from timm.layers import SelectAdaptivePool2d

        self.pool = SelectAdaptivePool2d(pool_type=pool, flatten=True)
        self.drop = nn.Dropout(dropout)
        self.logits = nn.Linear(channels * self.pool.feat_mult(), outputs)

    def forward(self, features: Features) -> Tensor:
        """Maps `Features` to (N, outputs)."""
        logits: Tensor = self.logits(self.drop(self.pool(features.deep)))
        return logits


class PooledTask(Task):
    """A task about a whole image.

    Args:
        name: see `Task`, also for `data`, `loss`, `metrics` and `shared`.
        data: description of the data set.
        loss: a loss of this task's kind.
        metrics: functions that make torchmetrics metrics.
        pool: how the map is pooled to a vector: `avg`, `max`, `avgmax` or `catavgmax`.
        shared: `dropout` and `prior_bias`.

    Raises:
        ConfigError: if the pooling is unknown or a value is out of range.
    """

    dense: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        metrics: Mapping[str, Any] | None = None,
        pool: str = "avg",
        **shared: Unpack[HeadArguments],
    ) -> None:
        super().__init__(name, data, loss, metrics, **shared)
        if pool not in POOLS:
            raise ConfigError(f"no pooling '{pool}': {nearest(pool, POOLS)}")
        self.pool = pool

    def make_head(self, channels: FeatureChannels) -> nn.Module:
        """Makes pooling followed by a linear layer."""
        return PooledHead(channels.deep, self.channels, self.pool, self.dropout)
