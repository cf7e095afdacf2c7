"""What tasks about a whole picture share: one vector from the backbone's deepest map."""

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
    """What every task about a whole image can be told; documented in `Task` and `PooledTask`."""

    metrics: Mapping[str, Any] | None
    pool: str


class PooledHead(nn.Module):
    """Pools the deepest map, drops out, and maps to outputs.

    Args:
        channels: of the deepest map.
        outputs: numbers for one picture.
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
        """`Features` to (N, outputs)."""
        logits: Tensor = self.logits(self.drop(self.pool(features.deep)))
        return logits


class PooledTask(Task):
    """A question about a whole picture.

    Args:
        name: see `Task`, as for `data`, `loss`, `metrics` and `shared`.
        data: what is known of the data.
        loss: of this task's kind.
        metrics: makers of torchmetrics metrics.
        pool: how the map becomes a vector: `avg`, `max`, `avgmax` or `catavgmax`.
        shared: `dropout` and `prior_bias`.

    Raises:
        ConfigError: an unknown pooling, a value out of range.
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
        """Pooling and a linear layer."""
        return PooledHead(channels.deep, self.channels, self.pool, self.dropout)
