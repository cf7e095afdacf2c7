"""What follows from the training split before the first step: class weights, shares, biases, visits."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.utils.files import write_json

if TYPE_CHECKING:
    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)

COMPUTED = "computed.json"


def prepare(module: "MultiTaskModule", data: "DataModule", folder: Path) -> dict[str, float]:
    """Gives losses and heads what they take from the training targets, says so, and keeps it in the run's folder.

    Nothing of it is drawn or learnt: a resumed run computes the same again, and its checkpoint then overwrites the
    biases that were set.

    Args:
        module: before training.
        data: after `setup`; of its splits only that of training is looked at.
        folder: the run's folder.

    Returns:
        What was computed, by dotted name; empty, and no file, where nothing asks for it.

    Raises:
        ConfigError: a setting that a task's head or kind of target cannot follow.
        DataError: a class or answer that never occurs in training.
    """
    from tandem.distributed.gather import get_rank

    found: dict[str, float] = {f"loader.visits.{name}": count for name, count in data.visits().items()}
    for task in module.tasks.values():
        found |= task.prepare(data.splits["train"])
    if found:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        log.info("computed from the training split: %s", shown)
        if get_rank() == 0:
            write_json(folder / COMPUTED, found)
    return found
