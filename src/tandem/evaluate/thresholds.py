"""Sets the thresholds of an evaluation: stored in the run, given, or fitted on the split."""

from collections.abc import Mapping
from typing import Any

import torch

from tandem.callbacks.threshold_sweep import binary_tasks
from tandem.config.suggest import nearest
from tandem.decisions.asked import STORED
from tandem.decisions.wanted import Wanted
from tandem.errors import ConfigError
from tandem.evaluate.run_split import apply, make_trainer
from tandem.evaluate.settings import FIT, EvaluateSettings
from tandem.evaluate.split import Split
from tandem.runs.restore import TrainedRun
from tandem.utils.files import shortest


def set_thresholds(run: TrainedRun, split: Split, settings: EvaluateSettings) -> dict[str, list[float]]:
    """Sets the requested thresholds in the tasks of a run; wanted values were chosen by `tandem.evaluate.decide`.

    Args:
        run: the run, whose tasks hold the stored thresholds.
        split: the split on which thresholds are fitted, if requested.
        settings: options of the evaluation, with the requested thresholds.

    Returns:
        One threshold per channel, by task.

    Raises:
        ConfigError: the task does not exist, or has no threshold.
    """
    tasks = dict(binary_tasks(run.module))
    asked: Mapping[str, Any] = settings.threshold if isinstance(settings.threshold, Mapping) else {}
    if unknown := [name for name in asked if name not in tasks]:
        raise ConfigError(f"threshold names '{unknown[0]}', which has no threshold: {nearest(unknown[0], tasks)}")
    if not asked and settings.threshold != STORED and not isinstance(settings.threshold, Wanted):
        if not tasks:
            raise ConfigError(f"threshold={settings.threshold}, but no task of this run has a threshold; leave it out")
        asked = dict.fromkeys(tasks, settings.threshold)
    if fitted := [name for name, value in asked.items() if value == FIT]:
        apply(make_trainer(split, [split.sweep]), run.module, split)
        for name in fitted:
            result, grid = split.sweep.sweeps[name].compute(), split.sweep.grids[name]
            best = result.best(torch.isin(result.thresholds, grid))
            tasks[name].threshold.copy_(result.thresholds[best])
    for name, value in asked.items():
        if value not in (STORED, FIT) and not isinstance(value, Wanted):
            tasks[name].threshold.fill_(value)
    return {name: [shortest(value) for value in task.threshold.tolist()] for name, task in tasks.items()}
