"""Finds the best threshold on validation data, and logs the epoch's official Dice."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tandem.callbacks.split import SplitCallback
from tandem.callbacks.sweep_settings import SweepSettings
from tandem.callbacks.sweep_values import curves_of, label_values, mask_values, mean_values
from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.metrics import Aggregate, DiceSweep, SweepResult
from tandem.metrics.objective import Empty, Goal
from tandem.module import MultiTaskModule, Outputs
from tandem.tasks import Task
from tandem.tasks.task_metrics import no_cross_rank_sync

FIXED = 0.5
"""Always reported beside the best threshold, whose Dice is optimistic on the data it was chosen on."""


class ThresholdSweep(SplitCallback):
    """Finds the best threshold of each binary task at the end of a validation epoch, and stores it in the task.

    It processes every validation probability once. For a mask it logs Dice at the best threshold as `val/<task>/dice`,
    with IoU, the threshold and Dice at 0.5; for a question about whole images F1, sensitivity, specificity, PPV and
    Youden's index. Each of several channels has its own threshold and is logged as `val/<task>/<channel>/...`, with the
    mean over the channels as `val/<task>/...`. Outside of training (`validate`, `test`) the stored threshold is applied
    and none is chosen. If a probability is nan, the stored threshold stays and nan is logged. The sanity check before
    training is ignored.

    Args:
        low: lowest threshold.
        high: highest threshold.
        step: distance between two thresholds, at least 0.0001.
        official: whether the official Dice is `global` (over all pixels) or `per_image` (mean over lesion images).
        exact: whether all distinct probabilities are candidates (see `tandem.metrics.logit_thresholds`) instead of
            the grid; by default only for tasks about whole images, which have few probabilities.
        objective: what the best threshold maximises: `dice`, `iou`, `fbeta`, `f1`, `youden`, or `sensitivity` subject
            to a minimum `specificity`; by default `dice` for masks and `f1` for whole images.
        beta: the weight of recall relative to precision in `fbeta`.
        specificity: the minimum specificity for the objective `sensitivity`.
        empty: images without lesion in `per_image`: `skip`, or `score` (1 if nothing is predicted, else 0).
        tasks: different values of these options for single tasks, by name.

    Raises:
        ConfigError: if the grid lies outside (0, 1), a choice or task is unknown, or a number is out of range.
    """

    def __init__(
        self,
        low: float = 0.1,
        high: float = 0.9,
        step: float = 0.01,
        official: Aggregate = "global",
        exact: bool | None = None,
        objective: Goal | None = None,
        beta: float = 1.0,
        specificity: float = 0.9,
        empty: Empty = "skip",
        tasks: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.settings = SweepSettings(low, high, step, exact, official, objective, beta, specificity, empty)
        self.of_task = {name: self.settings.changed(name, changes) for name, changes in (tasks or {}).items()}
        self.sweeps: dict[str, DiceSweep] = {}
        self.grids: dict[str, Tensor] = {}
        self.curves: dict[str, dict[str, list[float]]] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Rejects settings for an unknown task."""
        assert isinstance(pl_module, MultiTaskModule)
        known = dict(binary_tasks(pl_module))
        if unknown := [name for name in self.of_task if name not in known]:
            raise ConfigError(
                f"threshold_sweep.tasks names no binary task '{unknown[0]}': {nearest(unknown[0], known)}"
            )

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Starts empty histograms."""
        self.sweeps = {}
        for name, task in binary_tasks(module):
            settings = self.of_task.get(name, self.settings)
            self.grids[name] = settings.grid(task.dense)
            # includes the stored threshold, which may come from a run with another grid
            counted = torch.unique(torch.cat([self.grids[name], torch.tensor([FIXED]), task.threshold.cpu()]))
            goal = settings.goal(task.dense)
            sweep = DiceSweep(
                counted, goal.aggregate, goal.goal, goal.beta, goal.specificity, goal.empty, images=task.dense,
                distributed_available_fn=no_cross_rank_sync,
            )  # fmt: skip
            self.sweeps[name] = sweep.to(module.device)

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Counts a batch."""
        for name, sweep in self.sweeps.items():
            if name in outputs:
                sweep.update(outputs[name].probabilities, outputs[name].target)

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Logs the values; during training it also chooses a threshold on validation data and stores it."""
        fitting = stage == "val" and trainer.state.fn == "fit"
        tasks = dict(binary_tasks(module))
        for name, sweep in self.sweeps.items():
            if sweep.update_called:
                for key, value in self._report(f"{stage}/{name}", tasks[name], sweep.compute(), fitting).items():
                    module.log(key, value)

    def trial(self, trainer: pl.Trainer, module: MultiTaskModule, outputs: Sequence[Outputs]) -> dict[str, float]:
        """The values that these outputs have at the stored threshold, by logged name of validation; keeps nothing."""
        self.begin(trainer, module, "val")
        for output in outputs:
            self.see(trainer, module, "val", output, {})
        tasks = dict(binary_tasks(module))
        found: dict[str, float] = {}
        for name, sweep in self.sweeps.items():
            if sweep.update_called:
                found |= self._report(f"val/{name}", tasks[name], sweep.compute(), fitting=False)
        self.sweeps, self.curves = {}, {}
        return found

    def _report(self, prefix: str, task: Task, result: SweepResult, fitting: bool) -> dict[str, float]:
        """Returns all values of a task by logged name."""
        questions = []
        logged: dict[str, float] = {}
        for channel in range(len(result)):
            one = result[channel]
            index = self._choose(task, channel, one, fitting)
            values = (mask_values if task.dense else label_values)(one, index, one.index_of(FIXED))
            if fitting and one.unknown:
                values["threshold"] = math.nan  # none was found
            place = prefix if len(result) == 1 else f"{prefix}/{task.class_names[channel]}"
            logged |= {f"{place}/{key}": value for key, value in values.items()}
            self.curves[place] = curves_of(one, index)
            questions.append(values)
        if len(questions) > 1:
            logged |= {f"{prefix}/{key}": value for key, value in mean_values(questions).items()}
        return logged

    def _choose(self, task: Task, channel: int, result: SweepResult, fitting: bool) -> int:
        """Returns the index of the threshold to report: the best one during training, otherwise the stored one."""
        if not fitting or result.unknown:  # no count supports another threshold
            return result.index_of(float(task.threshold[channel]))
        index = int(result.best(torch.isin(result.thresholds, self.grids[task.name]))[0])
        task.threshold[channel] = result.thresholds[index].to(task.threshold.device)
        return index


def binary_tasks(module: MultiTaskModule) -> Iterator[tuple[str, Task]]:
    """Yields the tasks whose channels have thresholds, by name."""
    for name, task in module.tasks.items():
        if task.target_kind.thresholds:
            yield name, task


def dense_binary_tasks(module: MultiTaskModule) -> Iterator[tuple[str, Task]]:
    """Yields the dense tasks whose channels have thresholds, by name."""
    for name, task in binary_tasks(module):
        if task.dense:
            yield name, task
