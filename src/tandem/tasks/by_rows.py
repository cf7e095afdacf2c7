"""The answers of several devices, each of which has some rows of a batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tandem.distributed.gather import all_rows, gather_batch, gather_logits, is_distributed, per_rank_rng
from tandem.distributed.rows import rows_of_all, shared_mean
from tandem.losses.reduce import means_by
from tandem.tasks.output import TaskOutput
from tandem.tasks.task import Task


def computed_by_rows(task: Task) -> bool:
    """Whether a task's loss can be computed from the rows of each device; the others need the whole batch."""
    return bool(getattr(task.loss, "by_rows", False))


def answers_of(
    forward: Callable[[Tensor], Mapping[str, Tensor]],
    tasks: Mapping[str, Task],
    batch: Mapping[str, Any],
    by_rows: bool,
) -> dict[str, TaskOutput | None]:
    """Each task's output, with the loss of the whole batch, on one device or several.

    Args:
        forward: (n, C, H, W) images to logits by task.
        tasks: by name.
        batch: this device's rows.
        by_rows: whether each of several devices computes the losses of its own rows.
    """
    if by_rows and is_distributed():
        return answer_by_rows(forward, tasks, batch)
    logits, batch = gather_batch(forward, batch)
    return {name: task.answer(logits[name], batch) for name, task in tasks.items()}


def answer_by_rows(
    forward: Callable[[Tensor], Mapping[str, Tensor]], tasks: Mapping[str, Task], batch: Mapping[str, Any]
) -> dict[str, TaskOutput | None]:
    """Each task's output, with the loss of the whole batch.

    Probabilities and targets are those of all devices where metrics of training read them. Masks stay on their device.

    Args:
        forward: (n, C, H, W) images to logits by task.
        tasks: by name.
        batch: this device's rows.
    """
    with per_rank_rng():
        logits = forward(batch["image"])
    rest = {name: logits[name] for name, task in tasks.items() if not computed_by_rows(task)}
    found: dict[str, TaskOutput | None] = {}
    if rest:
        whole, targets = gather_logits(rest, batch)
        found = {name: tasks[name].answer(whole[name], targets) for name in rest}
    near = {name: task for name, task in tasks.items() if name not in rest}
    own = {name: task.count_labelled(batch) for name, task in near.items()}
    if near:
        with rows_of_all(own, batch["image"].device) as counts, means_by(shared_mean):
            for name, task in near.items():
                output = task.answer(logits[name], batch)
                found[name] = None if output is None else _of_all(output, task, counts[name])
    return {name: found[name] for name in tasks}


def _of_all(output: TaskOutput, task: Task, counts: Sequence[int]) -> TaskOutput:
    """An output with the rows of all devices, as far as metrics of training read them."""
    rows = torch.arange(sum(counts), device=output.rows.device)
    metrics = task.meters["train"].metrics.values()
    if task.dense and all(getattr(metric, "needs_mask", False) for metric in metrics):
        both = (output.probabilities, output.target)
        nothing, none = (each.new_empty((len(rows), *each.shape[1:-1], 0)) for each in both)
        return output._replace(probabilities=nothing, target=none, rows=rows, ids=())
    return output._replace(
        probabilities=all_rows(output.probabilities, counts), target=all_rows(output.target, counts), rows=rows,
        ids=(), spacing=None,
    )  # fmt: skip
