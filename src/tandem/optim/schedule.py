"""The learning-rate scheduler as Lightning runs it."""

from collections.abc import Callable
from typing import Any

from pytorch_lightning import Trainer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

MakeScheduler = Callable[[Optimizer], Any]


def with_scheduler(optimizer: Optimizer, make: MakeScheduler | None, monitor: str, trainer: Trainer | None) -> Any:
    """Returns what `configure_optimizers` of a Lightning module returns; the scheduler steps at the end of an epoch.

    Args:
        optimizer: the optimiser.
        make: makes a scheduler of an optimiser; None for a constant learning rate.
        monitor: logged name of the value that `ReduceLROnPlateau` reads.
        trainer: its validations set how often `ReduceLROnPlateau` steps; None outside of training.
    """
    if make is None:
        return optimizer
    plan = {"scheduler": make(optimizer), "interval": "epoch", "monitor": monitor}
    if trainer is not None and isinstance(plan["scheduler"], ReduceLROnPlateau):
        plan["frequency"] = trainer.check_val_every_n_epoch or 1
    return {"optimizer": optimizer, "lr_scheduler": plan}
