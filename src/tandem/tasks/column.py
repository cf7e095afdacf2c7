"""The column task: a number from the data set's table."""

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from torch import Tensor, nn

from tandem.config.suggest import nearest
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.tasks.pooled import PooledArguments, PooledTask


class ColumnTask(PooledTask):
    """Predicts a number that the data set has for each image, such as an age or a grade.

    Args:
        name: see `PooledTask`, also for `data` and `shared`.
        data: description of the data set.
        loss: a regression loss.
        column: name of the number in the data set.
        shared: `metrics`, `pool`, `dropout` and `prior_bias`.

    Raises:
        ConfigError: if the data set lacks the column, the pooling is unknown or the dropout is out of range.
    """

    kind: ClassVar[str] = "regression"
    target: ClassVar[str] = "columns"

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        column: str,
        **shared: Unpack[PooledArguments],
    ) -> None:
        super().__init__(name, data, loss, **shared)
        if column not in data.columns:
            raise ConfigError(f"column is '{column}', which data '{data.name}' lacks: {nearest(column, data.columns)}")
        self.column = column

    @property
    def channels(self) -> int:
        """Always 1: one number."""
        return 1

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Returns (N, 1) float32, nan where unknown."""
        columns = batch.get(self.target)
        return None if columns is None else columns[self.column].unsqueeze(1)

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows whose number is known."""
        return ~target.isnan().any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Returns the predicted numbers unchanged."""
        return logits
