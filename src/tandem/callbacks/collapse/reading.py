"""What the watch reads of a run at an epoch's end."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import pytorch_lightning as pl
from torch import nn

from tandem.module import MultiTaskModule
from tandem.tasks.task import Task


def base_rate(trainer: pl.Trainer) -> float:
    """The base learning rate: what a scheduler starts from, where there is one."""
    group = trainer.optimizers[0].param_groups[0]
    return float(group.get("initial_lr", group["lr"]))


def by_task(known: Mapping[str, float], module: MultiTaskModule, stage: str, value: str) -> dict[str, float]:
    """A logged value of a stage, by trained task; of those tasks that have it.

    Args:
        known: what was logged.
        module: with the tasks.
        stage: `train` or `val`.
        value: its last name, such as `loss`.
    """
    return {task: known[key] for task in trained(module) if (key := f"{stage}/{task}/{value}") in known}


def dice_by_task(known: Mapping[str, float], module: MultiTaskModule) -> dict[str, float]:
    """The official validation Dice by trained task; of a mask with several channels each one's, by `task/channel`.

    Args:
        known: what was logged.
        module: with the tasks.
    """
    names = {f"{task}/{channel}" for task in trained(module) for channel in module.tasks[task].class_names}
    channels = {name: known[key] for name in sorted(names) if (key := f"val/{name}/dice") in known}
    return by_task(known, module, "val", "dice") | channels


def ends_linear(task: Task) -> bool:
    """Whether a task's head is one of tandem's, whose last layer is linear, so that it cannot give probabilities."""
    own = type(task.head).__module__.startswith("tandem.") and type(task).forward is Task.forward
    return own and isinstance(getattr(task.head, "logits", None), nn.Linear | nn.Conv2d)


def trained(module: MultiTaskModule) -> list[str]:
    """The tasks with a weight; the others are measured only, and free to look bad."""
    return [name for name in module.tasks if module.balance.weights.get(name, 1.0) > 0]


def mean_over(
    looks: Sequence[tuple[dict[str, float], dict[str, float]]],
) -> tuple[dict[str, float], dict[str, float]]:
    """The mean of each share and each cosine over the looks of an epoch that have it."""
    means = []
    for values in zip(*looks, strict=True) if looks else ((), ()):
        names = {name for look in values for name in look}
        means.append({name: fmean(look[name] for look in values if name in look) for name in sorted(names)})
    return means[0], means[1]
