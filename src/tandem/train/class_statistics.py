"""Values computed from the training split before the first step: class weights, shares, biases, sampling counts."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.utils.artifacts import COMPUTED
from tandem.utils.files import write_json

if TYPE_CHECKING:
    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)


def prepare(module: "MultiTaskModule", data: "DataModule", folder: Path) -> dict[str, float]:
    """Computes what losses and heads need from the training targets, logs it, and saves it in the run's folder.

    The result is deterministic: a resumed run computes the same values, and its checkpoint then overwrites the biases.

    Args:
        module: the module before training.
        data: the data module after `setup`; only its training split is used.
        folder: the run's folder.

    Returns:
        The computed values, by dotted name; empty, and no file, if no option needs any.

    Raises:
        ConfigError: if an option does not apply to a task's head or kind of target.
        DataError: if a class or answer never occurs in training.
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
