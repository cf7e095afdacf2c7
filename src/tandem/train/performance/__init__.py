"""How a run computes: chosen by `performance`, kept in its folder and checkpoint, the same for all its processes."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.callbacks.computing import KeepComputing
from tandem.runs.performance import EXACT, FLOAT32, Computing, precision_plugin, read_computing, set_layout, threads_set
from tandem.train.performance.calibrate import calibrated, optimizer_of
from tandem.train.performance.store import keep, kept

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)

__all__ = ["set_computing"]


def set_computing(
    config: Mapping[str, Any],
    trainer: "pl.Trainer",
    module: "MultiTaskModule",
    data: "DataModule",
    folder: Path,
    stack: ExitStack,
) -> dict[str, Any] | None:
    """Sets how a run computes, on all of its processes, as the first one chooses.

    Args:
        config: the resolved configuration.
        trainer: of the run; it gets the precision.
        module: untrained; it gets layout and optimiser.
        data: after `setup`.
        folder: the run's folder. A run that goes on keeps what it has.
        stack: at its end the number of threads is what it was.

    Returns:
        What `results.json` says of it; None with `performance=exact`.
    """
    if (name := (config.get("performance") or {}).get("name", EXACT)) == EXACT:
        return None
    found: dict[str, Any] = {}
    if trainer.global_rank == 0:
        if (known := kept(folder)) is not None:
            log.info("performance=%s: %s (as this run began)", name, known)
        chosen = known or calibrated(config, trainer, module, data)
        keep(chosen, folder)
        found = chosen.plain()
    setting = read_computing(trainer.strategy.broadcast(found))
    _set(setting, config, trainer, module)
    stack.enter_context(threads_set(setting.threads))
    trainer.callbacks.insert(0, KeepComputing(setting.plain()))  # type: ignore[attr-defined]
    return setting.plain()


def _set(setting: Computing, config: Mapping[str, Any], trainer: "pl.Trainer", module: "MultiTaskModule") -> None:
    if setting.precision != trainer.precision and setting.precision != FLOAT32:
        device = trainer.strategy.root_device.type
        trainer.strategy.precision_plugin = precision_plugin(setting.precision, device)
    set_layout(module, setting.channels_last)
    if setting.fused:
        module.make_optimizer = optimizer_of(config, module, setting)
