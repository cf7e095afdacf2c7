"""The answers of several devices, each of which has some rows of a batch: losses of the batch, outputs of its rows."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from tandem.distributed.gather import gather_logits, is_distributed, per_rank_rng
from tandem.distributed.rows import rows_of_all, shared_mean
from tandem.losses.reduce import means_by
from tandem.tasks.output import TaskOutput
from tandem.tasks.task import Task

Answers = dict[str, TaskOutput | None]


def computed_by_rows(task: Task) -> bool:
    """Whether a task's loss can be computed from the rows of each device; the others need the whole batch."""
    return bool(getattr(task.loss, "by_rows", False))


def answers_of(
    forward: Callable[[Tensor], Mapping[str, Tensor]],
    tasks: Mapping[str, Task],
    batch: Mapping[str, Any],
    share: str,
) -> Answers:
    """Each task's output for the rows of this device, with the loss of the whole batch.

    Nothing of the size of an image travels, except where a loss needs the logits of the whole batch. An output may have
    no row, where only other devices have some.

    Args:
        forward: (n, C, H, W) images to logits by task.
        tasks: by name.
        batch: this device's rows.
        share: how several devices share a batch: `rows` (sums of losses), `batch` (logits), or `none`: each device has
            the loss of its own rows.
    """
    if not is_distributed():
        logits = forward(batch["image"])
        return {name: task.answer(logits[name], batch) for name, task in tasks.items()}
    with per_rank_rng():
        logits = forward(batch["image"])
    if share == "none":
        return {name: task.answer(logits[name], batch) for name, task in tasks.items()}
    near = {name: task for name, task in tasks.items() if share == "rows" and computed_by_rows(task)}
    rest = {name: task for name, task in tasks.items() if name not in near}
    found = {**_by_rows(logits, near, batch), **_gathered(logits, rest, batch)}
    return {name: found[name] for name in tasks}


def _by_rows(logits: Mapping[str, Tensor], tasks: Mapping[str, Task], batch: Mapping[str, Any]) -> Answers:
    if not tasks:
        return {}
    own = {name: task.count_labelled(batch) for name, task in tasks.items()}
    with rows_of_all(own, batch["image"].device), means_by(shared_mean):
        return {name: task.answer(logits[name], batch) for name, task in tasks.items()}


def _gathered(logits: Mapping[str, Tensor], tasks: Mapping[str, Task], batch: Mapping[str, Any]) -> Answers:
    if not tasks:
        return {}
    whole, targets, own = gather_logits({name: logits[name] for name in tasks}, batch)
    answers = {name: task.answer(whole[name], targets) for name, task in tasks.items()}
    return {name: None if answer is None else _own(answer, own, batch) for name, answer in answers.items()}


def _own(output: TaskOutput, own: range, batch: Mapping[str, Any]) -> TaskOutput:
    """An output of the rows of all devices with those of this device only."""
    mine = (output.rows >= own.start) & (output.rows < own.stop)
    spacing = None if output.spacing is None else output.spacing[mine]
    return output._replace(
        probabilities=output.probabilities[mine], target=output.target[mine], rows=output.rows[mine] - own.start,
        ids=tuple(batch.get("id", ())), spacing=spacing,
    )  # fmt: skip
