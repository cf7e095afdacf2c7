"""Settings of the threshold sweep for one task."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.metrics import Aggregate, Objective, logit_thresholds
from tandem.metrics.objective import Empty, Goal


@dataclass(frozen=True)
class SweepSettings:
    """Thresholds and objective of one task's sweep. Attributes: see `ThresholdSweep`.

    Raises:
        ConfigError: if the grid lies outside (0, 1), a choice is unknown, or a number is out of range.
    """

    low: float = 0.1
    high: float = 0.9
    step: float = 0.01
    exact: bool | None = None
    official: Aggregate = "global"
    objective: Goal | None = None
    beta: float = 1.0
    specificity: float = 0.9
    empty: Empty = "skip"

    def __post_init__(self) -> None:
        """Validates the grid and the objective."""
        if not (0 < self.low <= self.high < 1 and self.step >= 1e-4):
            raise ConfigError(
                f"low={self.low}, high={self.high}, step={self.step}: need 0 < low <= high < 1 and step >= 0.0001"
            )
        if self.official not in ("global", "per_image"):
            raise ConfigError(f"official is '{self.official}', but must be 'global' or 'per_image'")
        self.goal(dense=True)

    def changed(self, task: str, changes: Mapping[str, Any]) -> "SweepSettings":
        """Returns a copy with changed values for one task.

        Raises:
            ConfigError: if a name is unknown or a value is invalid; the message names the task.
        """
        known = {field.name for field in fields(self)}
        if unknown := [key for key in changes if key not in known]:
            raise ConfigError(f"tasks.{task} has no '{unknown[0]}': {nearest(unknown[0], known)}")
        try:
            return replace(self, **changes)
        except ConfigError as error:
            raise ConfigError(f"tasks.{task}: {error}") from error

    def grid(self, dense: bool) -> Tensor:
        """Returns (T,) float32: the thresholds that may be chosen."""
        if not dense if self.exact is None else self.exact:
            return logit_thresholds()
        count = int((self.high - self.low) / self.step + 1e-6) + 1
        return torch.tensor([round(self.low + index * self.step, 9) for index in range(count)])

    def goal(self, dense: bool) -> Objective:
        """Returns what the best threshold maximises; tasks about whole images have no mean over images."""
        default: Goal = "dice" if dense else "f1"
        aggregate = self.official if dense else "global"
        return Objective(self.objective or default, aggregate, self.beta, self.specificity, self.empty)
