"""The embedding task: which images are alike?"""

from typing import ClassVar, Unpack

from torch import Tensor, nn
from torch.nn import functional as F

from tandem.data.batch import MISSING_LABEL
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.tasks.pooled import PooledArguments, PooledTask


class EmbeddingTask(PooledTask):
    """Maps each image to a unit vector that is close to those of its class.

    Args:
        name: see `PooledTask`, also for `data` and `shared`.
        data: description of the data set.
        loss: an embedding loss.
        dimensions: of the embedding, at least 2.
        shared: `metrics` (retrieval metrics, which get unit vectors), `pool` and `dropout`.

    Raises:
        ConfigError: if a value is out of range.
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
        """One output per dimension."""
        return self.dimensions

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows whose label is not -100."""
        return target != MISSING_LABEL

    def probabilities(self, logits: Tensor) -> Tensor:
        """Scales the outputs to unit vectors."""
        return F.normalize(logits, dim=1)
