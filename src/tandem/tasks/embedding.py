"""Which pictures are alike?"""

from typing import ClassVar, Unpack

from torch import Tensor, nn
from torch.nn import functional as F

from tandem.data.batch import MISSING_LABEL
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.tasks.pooled import PooledArguments, PooledTask


class EmbeddingTask(PooledTask):
    """A place on the unit sphere for each picture, near those of its class.

    Args:
        name: see `PooledTask`, as for `data` and `shared`.
        data: what is known of the data.
        loss: an embedding loss.
        dimensions: of the space, at least 2.
        shared: `metrics` (of retrieval, which see unit vectors), `pool` and `dropout`.

    Raises:
        ConfigError: a value out of range.
    """

    kind: ClassVar[str] = "embedding"
    target: ClassVar[str] = "label"

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        dimensions: int = 32,
        **shared: Unpack[PooledArguments],
    ) -> None:
        if dimensions < 2:
            raise ConfigError(f"dimensions is {dimensions}, but must be at least 2")
        self.dimensions = dimensions
        super().__init__(name, data, loss, **shared)

    @property
    def channels(self) -> int:
        """One number for each dimension."""
        return self.dimensions

    def labelled(self, target: Tensor) -> Tensor:
        """Rows whose label is not -100."""
        return target != MISSING_LABEL

    def probabilities(self, logits: Tensor) -> Tensor:
        """Unit vectors."""
        return F.normalize(logits, dim=1)
