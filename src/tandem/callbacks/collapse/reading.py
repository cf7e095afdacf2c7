"""Reads the values that the watch needs at the end of an epoch."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import pytorch_lightning as pl
from torch import nn

from tandem.module import MultiTaskModule
from tandem.tasks.task import Task


def base_rate(trainer: pl.Trainer) -> float:
    """Returns the base learning rate, from which a scheduler starts."""
    group = trainer.optimizers[0].param_groups[0]
    return float(group.get("initial_lr", group["lr"]))


def by_task(known: Mapping[str, float], module: MultiTaskModule, stage: str, value: str) -> dict[str, float]:
    """Returns a logged value of a stage by trained task, for the tasks that have it.

    Args:
        known: the logged values.
        module: the module with the tasks.
        stage: `train` or `val`.
        value: the last part of its name, such as `loss`.
    """
    return {task: known[key] for task in trained(module) if (key := f"{stage}/{task}/{value}") in known}


def dice_by_task(known: Mapping[str, float], module: MultiTaskModule) -> dict[str, float]:
    """Returns the official validation Dice by trained task, and by `task/channel` for masks with several channels.

    Args:
        known: the logged values.
        module: the module with the tasks.
    """
    names = {f"{task}/{channel}" for task in trained(module) for channel in module.tasks[task].class_names}
    channels = {name: known[key] for name in sorted(names) if (key := f"val/{name}/dice") in known}
    return by_task(known, module, "val", "dice") | channels


def ends_linear(task: Task) -> bool:
    """Whether a task's head is one of tandem's, whose last layer is linear, so that it cannot give probabilities."""
    own = type(task.head).__module__.startswith("tandem.") and type(task).forward is Task.forward
    return own and isinstance(getattr(task.head, "logits", None), nn.Linear | nn.Conv2d)


def trained(module: MultiTaskModule) -> list[str]:
    """Returns the tasks with a weight above 0; the others are only measured, not judged."""
    return [name for name in module.tasks if module.balance.weights.get(name, 1.0) > 0]


def mean_over(
    measurements: Sequence[tuple[dict[str, float], dict[str, float]]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Averages each share and each cosine over the measurements of an epoch that have it."""
    means = []
    for values in zip(*measurements, strict=True) if measurements else ((), ()):
        names = {name for one in values for name in one}
        means.append({name: fmean(one[name] for one in values if name in one) for name in sorted(names)})
    return means[0], means[1]
