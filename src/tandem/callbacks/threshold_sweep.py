"""The official Dice of an epoch: the best over all thresholds, on validation data and nowhere else."""

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from tandem.errors import ConfigError
from tandem.metrics import Aggregate, DiceSweep, SweepResult
from tandem.module import MultiTaskModule, Outputs
from tandem.tasks import Task

FIXED = 0.5
"""The threshold that is always reported beside the best one, which is optimistic on the data it was chosen on."""


class ThresholdSweep(pl.Callback):
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

    def _start(self, module: pl.LightningModule) -> None:
        grid = torch.tensor([*self.grid, FIXED])
        self.sweeps = {}
        for name, task in dense_binary_tasks(module):
            # with the stored threshold, which may come from a run with another grid
            counted = torch.unique(torch.cat([grid, task.threshold.cpu()]))
            self.sweeps[name] = DiceSweep(counted.tolist()).to(module.device)

    def _update(self, outputs: Outputs) -> None:
        for name, sweep in self.sweeps.items():
            if name in outputs:
                sweep.update(outputs[name].probabilities, outputs[name].target)

    def _finish(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        fitting = stage == "val" and trainer.state.fn == "fit"
        tasks = dict(dense_binary_tasks(module))
        for name, sweep in self.sweeps.items():
            if not sweep.update_called:
                continue
            results = sweep.compute()
            for channel, result in enumerate(results):
                index = self._choose(tasks[name], channel, result, fitting)
                prefix = (
                    f"{stage}/{name}" if len(results) == 1 else f"{stage}/{name}/{tasks[name].class_names[channel]}"
                )
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

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins with empty histograms."""
        self._start(pl_module)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Counts a batch."""
        self._update(outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses, stores and logs; after the sanity check it does none of these."""
        if not trainer.sanity_checking:
            self._finish(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins with empty histograms."""
        self._start(pl_module)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Counts a batch."""
        self._update(outputs)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs at the stored threshold; nothing is chosen on test data."""
        self._finish(trainer, pl_module, "test")


def dense_binary_tasks(module: pl.LightningModule) -> Iterator[tuple[str, Task]]:
    """The tasks with a yes/no question for each pixel, by name."""
    assert isinstance(module, MultiTaskModule)
    for name, task in module.tasks.items():
        if task.kind == "binary" and task.dense:
            yield name, task


def _curves(result: SweepResult) -> dict[str, list[float]]:
    return {
        "thresholds": [round(value, 6) for value in result.thresholds.tolist()],
        "dice_global": result.curve("global").tolist(),
        "dice_lesion": result.curve("per_image").tolist(),
    }
