"""The official Dice of an epoch: the best over all thresholds, on validation data and nowhere else."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from tandem.callbacks.split import SplitCallback
from tandem.errors import ConfigError
from tandem.metrics import Aggregate, DiceSweep, SweepResult
from tandem.module import MultiTaskModule, Outputs
from tandem.tasks import Task

FIXED = 0.5
"""The threshold that is always reported beside the best one, which is optimistic on the data it was chosen on."""


class ThresholdSweep(SplitCallback):
    """Finds each dense binary task's threshold at the end of a validation epoch and stores it in the task.

    It sees every validation probability once, logs Dice at the best threshold as `val/<task>/dice`, with IoU, the
    threshold and Dice at 0.5 beside it. Outside of training (`validate`, `test`) it applies the stored threshold and
    chooses nothing. The sanity check before training does not count.

    Args:
        low: lowest threshold.
        high: highest threshold.
        step: distance between two, at least 0.0001.
        official: whether the Dice that counts is `global` (over all pixels) or `per_image` (mean over lesion images).

    Raises:
        ConfigError: a grid outside (0, 1), or an unknown `official`.
    """

    def __init__(self, low: float = 0.1, high: float = 0.9, step: float = 0.01, official: Aggregate = "global") -> None:
        if not (0 < low <= high < 1 and step >= 1e-4):
            raise ConfigError(f"low={low}, high={high}, step={step}: need 0 < low <= high < 1 and step >= 0.0001")
        if official not in ("global", "per_image"):
            raise ConfigError(f"official is '{official}', but must be 'global' or 'per_image'")
        count = int((high - low) / step + 1e-6) + 1
        self.grid = [round(low + index * step, 9) for index in range(count)]
        self.official: Aggregate = official
        self.sweeps: dict[str, DiceSweep] = {}
        self.curves: dict[str, dict[str, list[float]]] = {}

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Begins with empty histograms."""
        grid = torch.tensor([*self.grid, FIXED])
        self.sweeps = {}
        for name, task in dense_binary_tasks(module):
            # with the stored threshold, which may come from a run with another grid
            counted = torch.unique(torch.cat([grid, task.threshold.cpu()]))
            self.sweeps[name] = DiceSweep(counted.tolist()).to(module.device)

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Counts a batch."""
        for name, sweep in self.sweeps.items():
            if name in outputs:
                sweep.update(outputs[name].probabilities, outputs[name].target)

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Logs; while training it also chooses a threshold on validation data and stores it."""
        fitting = stage == "val" and trainer.state.fn == "fit"
        tasks = dict(dense_binary_tasks(module))
        for name, sweep in self.sweeps.items():
            if not sweep.update_called:
                continue
            results = sweep.compute()
            for channel, result in enumerate(results):
                index = self._choose(tasks[name], channel, result, fitting)
                label = "" if len(results) == 1 else f"/{tasks[name].class_names[channel]}"
                prefix = f"{stage}/{name}{label}"
                module.log_dict({f"{prefix}/{key}": value for key, value in self._values(result, index).items()})
                self.curves[prefix] = _curves(result)

    def _choose(self, task: Task, channel: int, result: SweepResult, fitting: bool) -> int:
        """Index of the threshold to report: the best one while training, the stored one otherwise."""
        if not fitting:
            return result.index_of(float(task.threshold[channel]))
        allowed = torch.isin(result.thresholds, torch.tensor(self.grid, dtype=torch.float32))
        index = result.best(self.official, allowed)
        task.threshold[channel] = result.thresholds[index].to(task.threshold.device)
        return index

    def _values(self, result: SweepResult, index: int) -> dict[str, float]:
        fixed = result.at(result.index_of(FIXED), self.official)
        return {
            **result.at(index, self.official),
            "threshold": round(float(result.thresholds[index]), 6),
            "dice_at_0.5": fixed["dice"],
            "dice_lesion_at_0.5": fixed["dice_lesion"],
        }


def dense_binary_tasks(module: MultiTaskModule) -> Iterator[tuple[str, Task]]:
    """The tasks with a yes/no question for each pixel, by name."""
    for name, task in module.tasks.items():
        if task.kind == "binary" and task.dense:
            yield name, task


def _curves(result: SweepResult) -> dict[str, list[float]]:
    return {
        "thresholds": [round(value, 6) for value in result.thresholds.tolist()],
        "dice_global": result.curve("global").tolist(),
        "dice_lesion": result.curve("per_image").tolist(),
    }
