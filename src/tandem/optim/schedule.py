"""The learning-rate scheduler as Lightning runs it."""

from collections.abc import Callable
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from torch.nn import Parameter
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


class Resumable(LightningModule):
    """A module whose checkpoint at the end of an epoch is complete, so that a resumed run equals an unbroken one.

    Attributes:
        after_batch: called when the module and all callbacks are done with a training batch.
    """

    after_batch: Callable[[], None] = staticmethod(lambda: None)
    _known: tuple[tuple[str, Parameter], ...] | None = None

    def known_parameters(self) -> tuple[tuple[str, Parameter], ...]:
        """`named_parameters()`, looked up once in an epoch: each time means a walk through all layers and metrics."""
        if self._known is None:
            self._known = tuple(self.named_parameters())
        return self._known

    def on_train_epoch_end(self) -> None:
        """Steps each `ReduceLROnPlateau` that is due; Lightning would step it after the checkpoint is saved."""
        self._known = None
        for plan in self.trainer.lr_scheduler_configs:
            value = self.trainer.callback_metrics.get(str(plan.monitor))
            due = (self.current_epoch + 1) % plan.frequency == 0
            if isinstance(plan.scheduler, ReduceLROnPlateau) and due and value is not None:
                plan.scheduler.step(value)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Lightning hook: `ReduceLROnPlateau` has been stepped already."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)
