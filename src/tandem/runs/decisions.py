"""The decisions of a run: applied to its tasks, and fitted on its validation data."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tandem.callbacks.threshold_sweep import ThresholdSweep
from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.asked import Asked
from tandem.decisions.decision import Decision, as_plain, read_decision
from tandem.decisions.operating import threshold_for
from tandem.decisions.postprocess import StepCounts
from tandem.decisions.rankdice import check_installed
from tandem.decisions.stages import decided
from tandem.decisions.temperature import fit_temperature, mapped
from tandem.decisions.wanted import Wanted
from tandem.distributed.metric_states import never
from tandem.errors import ConfigError, DataError
from tandem.metrics import DiceSweep
from tandem.module import MultiTaskModule
from tandem.tasks import Task

log = logging.getLogger(__name__)

KEY = "tandem_decisions"
"""Its place in a checkpoint."""

MOST = 4_000_000
"""Logits of a task from which a temperature is fitted; of more, every k-th counts."""

Decisions = Mapping[str, Decision]
"""By task; tasks that are left out decide by the threshold of the checkpoint alone."""


def read_decisions(value: Any, module: MultiTaskModule, place: str) -> dict[str, Decision]:
    """Reads the decisions of a checkpoint or a file.

    Args:
        value: what it holds: None for none.
        module: the module of the run.
        place: the file, for the message.

    Raises:
        DataError: they are no decisions of this run.
    """
    if value is None:
        return {}
    known = decidable(module)
    if not isinstance(value, Mapping) or not all(name in known for name in value):
        names = ", ".join(known) or "none"
        raise DataError(
            f"{place} holds decisions of tasks that the run does not have (it has: {names}); fit them again"
        )
    return {
        name: read_decision(one, known[name].channels, f"{place}, task '{name}',", *_shape(known[name]))
        for name, one in value.items()
    }


def plain(decisions: Decisions) -> dict[str, Any]:
    """The decisions as they are stored; those that change nothing are left out."""
    return {name: as_plain(one) for name, one in decisions.items() if not one.neutral}


def decide_by(module: MultiTaskModule, decisions: Decisions, swept: Mapping[str, Tensor]) -> None:
    """Sets the decision of each task.

    Args:
        module: of the run.
        decisions: by task.
        swept: the thresholds of the checkpoint, by task.
    """
    for name, task in decidable(module).items():
        task.threshold.copy_(swept[name])
        task.decide_by(decisions.get(name, Decision()))


def decidable(module: MultiTaskModule) -> dict[str, Task]:
    """The tasks that have probabilities, by name."""
    return {name: task for name, task in module.tasks.items() if _binary(task) or task.target_kind.exclusive}


def check_asked(module: MultiTaskModule, asked: Asked, wanted: Mapping[str, Wanted]) -> None:
    """Raises if no task of the run can be decided in the way that is asked for.

    Args:
        module: of the run.
        asked: the option `decide`.
        wanted: thresholds to choose, by task.

    Raises:
        ConfigError: no task has masks or probabilities, or `rankseg` is not installed.
    """
    tasks = decidable(module)
    if asked.rankdice and not any(task.dense for task in tasks.values()):
        raise ConfigError("decide=rankdice needs a task with masks, such as segmentation; this run has none")
    if asked.postprocess and not any(map(_masks, tasks.values())):
        raise ConfigError(
            "decide=postprocess needs a task with yes/no masks, such as segmentation; this run has none"
            + ("; masks of exclusive classes are left as they are" if any(t.dense for t in tasks.values()) else "")
        )
    if asked.temperature and not tasks:
        raise ConfigError("decide=temperature needs a task with probabilities; this run has none")
    for name in wanted:
        if name not in tasks or not _binary(tasks[name]):
            known = [one for one, task in tasks.items() if _binary(task)]
            raise ConfigError(f"threshold names '{name}', which has no threshold: {nearest(name, known)}")
    if asked.rankdice:
        check_installed()


def wanted_of(module: MultiTaskModule, asked: Asked, threshold: Any) -> dict[str, Wanted]:
    """What the threshold of each task must reach.

    Args:
        module: of the run.
        asked: the option `decide`.
        threshold: a wanted value for all tasks, values by task, or anything else.

    Raises:
        ConfigError: no task has a threshold.
    """
    binary = [name for name, task in decidable(module).items() if _binary(task)]
    if isinstance(threshold, Mapping):
        return {name: value for name, value in threshold.items() if isinstance(value, Wanted)}
    value = threshold if isinstance(threshold, Wanted) else asked.wanted
    if value is not None and not binary:
        raise ConfigError(f"threshold={value}, but no task of this run has a threshold; leave it out")
    return dict.fromkeys(binary, value) if value is not None else {}


@dataclass(frozen=True)
class Validation:
    """The validation data of a run, on which decisions are fitted.

    Attributes:
        batches: makes the batches, in order and without augmentation.
        images: number of images.
        sweep: the run's threshold sweep, with its objectives.
        context: makes the context of the run's precision.
    """

    batches: Callable[[], Iterable[Mapping[str, Any]]]
    images: int
    sweep: ThresholdSweep
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


def fit(
    module: MultiTaskModule,
    validation: Validation | None,
    asked: Asked,
    wanted: Mapping[str, Wanted],
    given: Mapping[str, float],
    base: Decisions | None = None,
) -> dict[str, Decision]:
    """Fits what is asked for, in this order: temperature, thresholds, post-processing.

    Args:
        module: with the weights and thresholds of the checkpoint, and no decision.
        validation: the run's validation data; None if nothing needs them.
        asked: what to fit.
        wanted: what thresholds must reach, by task.
        given: thresholds that are given, by task; of tempered probabilities, if a temperature is fitted.
        base: decisions that are changed, by task.

    Returns:
        The decision of each task.

    Raises:
        UnreachedError: a wanted value cannot be reached.
        DataError: a logit is not finite.
    """
    found = {
        name: (base or {}).get(name, Decision("rankdice" if asked.rankdice and task.dense else "threshold"))
        for name, task in decidable(module).items()
    }
    for name, value in given.items():
        found[name] = replace(found[name], thresholds=(value,) * module.tasks[name].channels)
    if validation is not None:
        if asked.temperature:
            _temperatures(module, validation, found, given)
        if wanted:
            _thresholds(module, validation, found, wanted)
        if asked.postprocess:
            _steps(module, validation, found)
    for name, decision in found.items():
        if not decision.neutral:
            log.info("decision of %s: %s", name, decision)
    return found


def _temperatures(
    module: MultiTaskModule, validation: Validation, found: dict[str, Decision], given: Mapping[str, float]
) -> None:
    kept: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in found}
    rows = dict.fromkeys(found, 0)
    for name, logits, target in _passed(module, validation, list(found)):
        rows[name] += len(target)
        known, truth = _known(module.tasks[name], logits, target)
        every = max(1, math.ceil(logits.numel() // max(len(logits), 1) * validation.images / MOST))
        kept[name].append((known[::every], truth[::every]))
    for name, parts in kept.items():
        task = module.tasks[name]
        if not parts:
            log.warning("temperature of %s: no validation image has a target, so it stays 1", name)
            continue
        logits, truth = (torch.cat([part[which] for part in parts]) for which in (0, 1))
        if not bool(torch.isfinite(logits).all()):
            raise DataError(f"a logit of task '{name}' is not finite on validation data; train the run again")
        temperature = fit_temperature(logits, truth, task.target_kind.exclusive)
        if math.isnan(temperature):
            log.warning("temperature of %s: none from 0.05 to 20 fits best, so it stays 1 (too few errors?)", name)
            continue
        found[name] = replace(found[name], temperature=temperature, images=rows[name])
        if _binary(task) and name not in given:
            at = tuple(mapped(task.threshold.cpu(), temperature).tolist())
            found[name] = replace(found[name], thresholds=at)


def _thresholds(
    module: MultiTaskModule, validation: Validation, found: dict[str, Decision], wanted: Mapping[str, Wanted]
) -> None:
    sweeps = {name: DiceSweep("exact", images=False, distributed_available_fn=never) for name in wanted}
    rows = dict.fromkeys(wanted, 0)
    for name, logits, target in _passed(module, validation, list(wanted)):
        rows[name] += len(target)
        sweeps[name].update(_tempered(module.tasks[name], logits, found[name]), target)
    for name, value in wanted.items():
        if not rows[name]:
            raise ConfigError(f"threshold={value}: no validation image has a target of task '{name}'")
        task, result = module.tasks[name], sweeps[name].compute()
        places = [
            f"task '{name}'"
            + (f", {task.class_names[c]}" if len(result) > 1 else "")
            + f", {rows[name]} validation images"
            for c in range(len(result))
        ]
        chosen = tuple(threshold_for(result[c], value, place) for c, place in enumerate(places))
        found[name] = replace(found[name], thresholds=chosen, wanted=str(value), images=rows[name])


def _steps(module: MultiTaskModule, validation: Validation, found: dict[str, Decision]) -> None:
    names = [name for name in found if _masks(module.tasks[name])]
    counts = {}
    for name in names:
        settings = validation.sweep.of_task.get(name, validation.sweep.settings)
        counts[name] = [StepCounts(settings.goal(dense=True)) for _ in range(module.tasks[name].channels)]
    for name, logits, target in _passed(module, validation, names):
        task, decision = module.tasks[name], found[name]
        at = torch.tensor(decision.thresholds) if decision.thresholds else task.threshold.cpu()
        masks = decided(_tempered(task, logits, decision), at, decision).numpy()
        for image, truth in zip(masks, target.numpy(), strict=True):
            for channel, one in enumerate(counts[name]):
                one.see(image[channel], truth[channel])
    for name, of_task in counts.items():
        chosen = [one.best() for one in of_task]
        images = of_task[0].images
        steps, gains = tuple(steps for steps, _ in chosen), tuple(gain for _, gain in chosen)
        found[name] = replace(found[name], steps=steps, gains=gains, images=images)


@torch.inference_mode()
def _passed(
    module: MultiTaskModule, validation: Validation, names: Iterable[str]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yields float32 logits and targets of the labelled rows, on the CPU, for each task and batch."""
    module.eval()
    first = next(module.parameters())
    for batch in validation.batches():
        with validation.context():
            logits = module(batch["image"].to(first.device, first.dtype))
        for name in names:
            target = module.tasks[name].read_target(batch)
            if target is None:
                continue
            rows = module.tasks[name].labelled(target)
            if bool(rows.any()):
                yield name, logits[name].float().cpu()[rows], target[rows]


def _known(task: Task, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets of the known answers, (M,) or (M, C), and (M,)."""
    if task.target_kind.exclusive:
        logits, target = logits.movedim(1, -1).flatten(0, -2), target.flatten()
        known = (target >= 0) & (target < logits.shape[1])
        return logits[known], target[known]
    known = target != MISSING_PIXEL
    return logits[known], target[known]


def _tempered(task: Task, logits: Tensor, decision: Decision) -> Tensor:
    return task.probabilities(logits if decision.temperature == 1 else logits / decision.temperature)


def _binary(task: Task) -> bool:
    return task.target_kind.thresholds


def _shape(task: Task) -> tuple[bool, bool]:
    return task.dense, task.target_kind.exclusive


def _masks(task: Task) -> bool:
    return task.target_kind.thresholds and task.dense
