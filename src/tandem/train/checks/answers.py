"""What a run will log of its validation split, from answers that need no training."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tandem.tasks.target_statistics import CHUNK

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.samples import Samples
    from tandem.module import MultiTaskModule, Outputs
    from tandem.tasks import Task
    from tandem.tasks.output import TaskOutput

SURE = 10.0
"""Logit of a perfect answer."""

FEW = 8
"""Rows that the network answers where a perfect answer has no formula."""


def validated_values(
    trainer: "pl.Trainer", module: "MultiTaskModule", samples: "Samples", name: str, every_row: bool = False
) -> tuple[dict[str, float], bool]:
    """The values of one task on validation data by logged name, and whether they are those of perfect answers.

    Perfect answers exist for yes/no questions and classes; elsewhere the untrained network answers a few rows, which
    gives the names. No weight, buffer, threshold or random number changes.

    Args:
        trainer: with its callbacks.
        module: untrained.
        samples: the validation split.
        name: of the task.
        every_row: whether to answer the whole split instead of a few rows that show every answer it has.
    """
    task = module.tasks[name]
    rows = _labelled(task, samples)
    batches = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    if not every_row:
        batches = _telling(task, samples, batches)
    perfect = _perfect(task, samples, batches[0]) is not None if batches else False
    if not perfect:
        batches = [batch[:FEW] for batch in batches[:1]]
    with torch.no_grad():
        outputs = [_output(module, name, samples, batch, perfect) for batch in batches]
        for output in outputs:
            if output is not None:
                task.update(output, "val")
        found = {key: float(value) for key, value in task.compute("val").items()}
        found |= _swept(trainer, module, [{name: output} for output in outputs if output is not None])
    return found, perfect


def absent_answers(task: "Task", samples: "Samples") -> list[str]:
    """The answers that never occur in a split, such as `foreground`; empty where they cannot be counted."""
    if not task.target_kind.countable:
        return []
    total: Tensor | int = 0
    for start in range(0, len(samples), CHUNK):
        target = task.read_target(samples.targets(range(start, min(start + CHUNK, len(samples)))))
        if target is not None:
            total = total + task.target_kind.count(target, task.channels)
    if isinstance(total, int):
        return []
    pairs = zip(total.view(len(total), -1), task.class_names, strict=True)
    return [task.target_kind.absent(row, label) for row, label in pairs if not row.all()]


def _labelled(task: "Task", samples: "Samples") -> list[int]:
    rows: list[int] = []
    for start in range(0, len(samples), CHUNK):
        target = task.read_target(samples.targets(range(start, min(start + CHUNK, len(samples)))))
        if target is not None:
            rows += (start + task.labelled(target).nonzero().flatten()).tolist()
    return rows


def _telling(task: "Task", samples: "Samples", batches: Sequence[list[int]]) -> list[list[int]]:
    """The first batch, and each that shows an answer that those before it lack."""
    kept: list[list[int]] = []
    seen: Tensor | None = None
    for batch in batches:
        target = task.read_target(samples.targets(batch)) if task.target_kind.countable else None
        shown = None if target is None else task.target_kind.count(target, task.channels) > 0
        if shown is None or seen is None or bool((shown & ~seen).any()):
            kept.append(batch)
        if shown is None:
            break
        seen = shown if seen is None else seen | shown
    return kept


def _perfect(task: "Task", samples: "Samples", rows: Sequence[int]) -> Tensor | None:
    """Logits that are right and sure, where the kind of target has such and the task reads logits as its kind does."""
    target = task.read_target(samples.targets(rows))
    if target is None or not task.target_kind.countable:
        return None
    spatial = target.shape[-2:] if task.dense else ()
    if task.target_kind.exclusive:
        known = target.clamp(0, task.channels - 1).long()
        logits = torch.nn.functional.one_hot(known, task.channels).movedim(-1, 1).float() * 2 - 1
    else:
        logits = (target == 1).float() * 2 - 1
    if logits.numel() != len(target) * task.channels * math.prod(spatial):
        return None
    logits = SURE * logits.reshape(len(target), task.channels, *spatial)
    probabilities = task.probabilities(logits)
    within = bool(((probabilities >= 0) & (probabilities <= 1)).all())
    return logits if within else None  # a head may give probabilities itself


def _output(
    module: "MultiTaskModule", name: str, samples: "Samples", rows: Sequence[int], perfect: bool
) -> "TaskOutput | None":
    task = module.tasks[name]
    logits = _perfect(task, samples, rows) if perfect else None
    if logits is None:
        return task.answer(module(samples.take(rows)["image"])[name], samples.take(rows))
    return task.answer(logits, samples.targets(rows))


def _swept(trainer: "pl.Trainer", module: "MultiTaskModule", outputs: "Sequence[Outputs]") -> dict[str, float]:
    from tandem.callbacks import ThresholdSweep

    found: dict[str, float] = {}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ThresholdSweep):
            found |= callback.trial(trainer, module, outputs)
    return found
