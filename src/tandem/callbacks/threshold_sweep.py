"""Finds the best threshold on validation data, and logs the epoch's official Dice."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tandem.callbacks.answers import Question, Select, read_answers
from tandem.callbacks.split import SplitCallback
from tandem.callbacks.sweep_settings import SweepSettings
from tandem.callbacks.sweep_values import curves_of, label_values, mask_values, mean_values
from tandem.config.suggest import nearest
from tandem.distributed.metric_states import never, told_by_all
from tandem.errors import ConfigError
from tandem.metrics import Aggregate, DiceSweep, SweepResult
from tandem.metrics.objective import Empty, Goal
from tandem.module import MultiTaskModule, Outputs
from tandem.tasks import Task

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

    In any other LightningModule it reads what `validation_step` and `test_step` return: a dict with `target` and
    `probabilities` or `logits`, each (N, C, ...), or several such dicts by name, which stand for `<task>` in the names
    (`val/dice` without a name). The thresholds are then part of the callback's own state in the checkpoint, and in
    `thresholds`. Every rank counts its own batches, and the counts are summed over the ranks.

    Attributes:
        thresholds: thresholds of a module without tasks, (C,) by name of the question.

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
        select: for modules without tasks whose steps return something else: a function of what the step returned and
            of the batch, which returns such a dict.

    Raises:
        ConfigError: if the grid lies outside (0, 1), a choice or task is unknown, a number is out of range, or a step
            returns something else.

    Example:
        >>> sweep = ThresholdSweep(select=lambda outputs, batch: {"logits": outputs["mask"], "target": batch["mask"]})
        >>> trainer = pl.Trainer(callbacks=[sweep], logger=False, enable_progress_bar=False)
    """

    any_module = True

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
        select: Select | None = None,
    ) -> None:
        if select is not None and not callable(select):
            raise ConfigError(f"select is {select!r}, but must be a function of a step's outputs and its batch")
        self.settings = SweepSettings(low, high, step, exact, official, objective, beta, specificity, empty)
        self.of_task = {name: self.settings.changed(name, changes) for name, changes in (tasks or {}).items()}
        self.sweeps: dict[str, DiceSweep] = {}
        self.grids: dict[str, Tensor] = {}
        self.curves: dict[str, dict[str, list[float]]] = {}
        self.select = select
        self.own: dict[str, Question] = {}
        self.loaded: dict[str, list[float]] = {}

    @property
    def thresholds(self) -> dict[str, Tensor]:
        """The thresholds of a module without tasks, (C,) by name of the question."""
        loaded = {name: torch.tensor(values) for name, values in self.loaded.items()}
        return loaded | {name: question.threshold.clone() for name, question in self.own.items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns the thresholds of a module without tasks; a task keeps its own."""
        found = {name: values.tolist() for name, values in self.thresholds.items()}
        return {"thresholds": found} if found else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the thresholds of a checkpoint."""
        self.loaded = {str(name): list(values) for name, values in state_dict.get("thresholds", {}).items()}
        self.own = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Rejects settings for an unknown task."""
        if isinstance(pl_module, MultiTaskModule):
            self._check_names(dict(binary_tasks(pl_module)))

    def _check_names(self, known: Mapping[str, Any]) -> None:
        if unknown := [name for name in self.of_task if name not in known]:
            raise ConfigError(
                f"threshold_sweep.tasks names no binary task '{unknown[0]}': {nearest(unknown[0], known)}"
            )

    def begin(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Starts empty histograms; in a module without tasks, with the first batch of each question."""
        self.sweeps = {}
        for task in self._questions(module).values() if isinstance(module, MultiTaskModule) else ():
            self._start(task, module.device)

    def see(
        self, trainer: pl.Trainer, module: pl.LightningModule, stage: str, outputs: Any, batch: Mapping[str, Any]
    ) -> None:
        """Counts a batch."""
        if not isinstance(module, MultiTaskModule):
            outputs = read_answers(outputs, batch, self.select, f"ThresholdSweep in {type(module).__name__}")
            for name, answer in outputs.items():
                if name not in self.sweeps:
                    self._start(self._question(name, answer.probabilities), module.device)
        for name, sweep in self.sweeps.items():
            if name in outputs:
                sweep.update(outputs[name].probabilities, outputs[name].target)

    def end(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Logs the values; during training it also chooses a threshold on validation data and stores it."""
        fitting = stage == "val" and trainer.state.fn == "fit"
        questions = self._questions(module)
        if not isinstance(module, MultiTaskModule) and self.sweeps:
            self._check_names(self.sweeps)
        own = isinstance(module, MultiTaskModule)
        seen = told_by_all(self.sweeps)[0] if own else {name for name, one in self.sweeps.items() if one.update_called}
        for name, sweep in self.sweeps.items():
            if name in seen:
                prefix = f"{stage}/{name}" if name else stage
                for key, value in self._report(prefix, questions[name], sweep.compute(), fitting).items():
                    module.log(key, value)

    def _questions(self, module: pl.LightningModule) -> Mapping[str, Task | Question]:
        return dict(binary_tasks(module)) if isinstance(module, MultiTaskModule) else self.own

    def _question(self, name: str, probabilities: Tensor) -> Question:
        """A question of a module without tasks, with the threshold of the checkpoint, or else 0.5."""
        channels = probabilities.shape[1]
        known = self.thresholds.get(name)
        if known is not None and len(known) != channels:
            raise ConfigError(
                f"ThresholdSweep: '{name or 'the question'}' has {channels} channels, but the checkpoint has "
                f"{len(known)} thresholds; load a checkpoint of this module"
            )
        threshold = torch.full((channels,), FIXED) if known is None else known.float()
        names = tuple(map(str, range(channels)))
        self.own[name] = Question(name, probabilities.ndim > 2, threshold, names)
        return self.own[name]

    def _start(self, task: Task | Question, device: torch.device) -> None:
        """Starts the empty histograms of a question."""
        settings = self.of_task.get(task.name, self.settings)
        self.grids[task.name] = settings.grid(task.dense)
        # includes the stored threshold, which may come from a run with another grid
        counted = torch.unique(torch.cat([self.grids[task.name], torch.tensor([FIXED]), task.threshold.cpu()]))
        goal = settings.goal(task.dense)
        sweep = DiceSweep(
            counted, goal.aggregate, goal.goal, goal.beta, goal.specificity, goal.empty, images=task.dense
        )
        self.sweeps[task.name] = sweep.to(device)

    def trial(self, trainer: pl.Trainer, module: MultiTaskModule, outputs: Sequence[Outputs]) -> dict[str, float]:
        """The values that these outputs have at the stored threshold, by logged name of validation; keeps nothing.

        In one process alone, whatever others there are.
        """
        self.begin(trainer, module, "val")
        for sweep in self.sweeps.values():
            sweep.distributed_available_fn = never
        for output in outputs:
            self.see(trainer, module, "val", output, {})
        tasks = dict(binary_tasks(module))
        found: dict[str, float] = {}
        for name, sweep in self.sweeps.items():
            if sweep.update_called:
                found |= self._report(f"val/{name}", tasks[name], sweep.compute(), fitting=False)
        self.sweeps, self.curves = {}, {}
        return found

    def _report(self, prefix: str, task: Task | Question, result: SweepResult, fitting: bool) -> dict[str, float]:
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

    def _choose(self, task: Task | Question, channel: int, result: SweepResult, fitting: bool) -> int:
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
