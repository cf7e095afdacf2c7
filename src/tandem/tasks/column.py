"""The column task: one or several numbers from the data set's table."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from tandem.config.suggest import nearest
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.tasks.pooled import PooledArguments, PooledTask


class ColumnTask(PooledTask):
    """Predicts a number that the data set has for each image, such as an age or a grade; or several.

    The loss of several numbers is the mean over all that are known, so they should have similar units: in a table with
    years and square metres, the years decide. An image may lack some of them.

    Args:
        name: see `PooledTask`, also for `data` and `shared`.
        data: description of the data set.
        loss: a regression loss.
        column: name of the number in the data set, or the names of several.
        shared: `metrics`, `pool`, `dropout` and `prior_bias`.

    Raises:
        ConfigError: if the data set lacks a column, one is named twice, the pooling is unknown or the dropout is out
            of range.
    """

    kind: ClassVar[str] = "regression"
    target: ClassVar[str] = "columns"

    def __init__(
        self,
        name: str,
        data: DataInfo,
        loss: nn.Module,
        column: str | Sequence[str],
        **shared: Unpack[PooledArguments],
    ) -> None:
        self.columns = (column,) if isinstance(column, str) else tuple(column)
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise ConfigError(f"column is {list(self.columns)}, but must be one name or several different ones")
        super().__init__(name, data, loss, **shared)  # needs the number of columns
        for given in self.columns:
            if given not in data.columns:
                hint = nearest(str(given), data.columns)
                raise ConfigError(f"column is '{given}', which data '{data.name}' lacks: {hint}")

    @property
    def channels(self) -> int:
        """How many numbers are predicted."""
        return len(self.columns)

    @property
    def class_names(self) -> Sequence[str]:
        """The names of several numbers."""
        return self.columns if len(self.columns) > 1 else super().class_names

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Returns (N, K) float32, nan where unknown."""
        columns = batch.get(self.target)
        return None if columns is None else torch.stack([columns[name] for name in self.columns], dim=1)

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows with a known number."""
        return ~target.isnan().all(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Returns the predicted numbers unchanged."""
        return logits
