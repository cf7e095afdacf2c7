"""Lets an interrupted run go on as if it had not been interrupted, and saves it before it ends."""

import logging
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl

from tandem.callbacks.loop_state import add_running_means, between_steps, running_means, settle, start, within_epoch
from tandem.module import MultiTaskModule
from tandem.tasks.task_metrics import load_running_state, running_state
from tandem.utils import signals
from tandem.utils.artifacts import LAST

log = logging.getLogger(__name__)

KEY = "tandem_resume"
"""Its place in a checkpoint."""

MODULE = "module"
"""Key of the module's running losses and metrics."""


@runtime_checkable
class EpochState(Protocol):
    """A callback that gathers something over an epoch, which a checkpoint inside of the epoch has to hold."""

    def epoch_state(self) -> dict[str, Any]:
        """What was gathered since the epoch began, as plain containers and tensors."""

    def load_epoch_state(self, state: dict[str, Any]) -> None:
        """Restores it; called after the epoch has begun."""


class Resume(pl.Callback):
    """Restores what Lightning does not: the decision to stop, and the position and the meters inside of an epoch.

    With `every` a checkpoint is saved after every so many steps, and at a signal after the step. A checkpoint is never
    saved within a step that accumulates gradients, nor after an epoch's last batch, which its end saves.

    Args:
        folder: of the run.
        identity: hash of the run. A run that continues another one does not stop where that did.
        every: steps between two checkpoints; None saves at the end of each epoch only.
        began: when this start of the run began (`time.monotonic`); None: now.

    Attributes:
        before: seconds of earlier starts of the run, each until its last checkpoint.
        starts: how often the run was started until now.
    """

    def __init__(self, folder: Path, identity: str, every: int | None = None, began: float | None = None) -> None:
        self.folder, self.identity, self.every = folder, identity, every
        self.began = time.monotonic() if began is None else began
        self.before, self.starts = 0.0, 1
        self.stopped = False
        self.done = 0
        self.gathered: dict[str, Any] = {}
        self.means: dict[str, Any] = {}
        self.logged: dict[str, Any] = {}
        self.handlers: dict[signal.Signals, Any] = {}

    @property
    def seconds(self) -> float:
        """Duration of the run so far, over all its starts."""
        return self.before + time.monotonic() - self.began

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Asks the module to call when all of a batch is done."""
        if stage == "fit":
            assert isinstance(pl_module, MultiTaskModule)
            pl_module.after_batch = lambda: self._after_batch(trainer, pl_module)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remembers the handlers of signals, which Lightning is about to replace."""
        numbers = [getattr(signal, name) for name in signals.NAMES if hasattr(signal, name)]
        self.handlers = {number: signal.getsignal(number) for number in numbers}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the loop to where the checkpoint was saved."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.handlers.items():
                signal.signal(number, handler)
        trainer.should_stop = trainer.should_stop or self.stopped
        trainer.callback_metrics.update(self.logged)  # an epoch without validation keeps the values of the one before
        start(trainer, self.done)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restores the meters before the first batch; from here to the end of the batch, a signal waits."""
        if self.gathered:
            _load_gathered(trainer, pl_module, self.gathered)
            self.gathered = {}
        if self.every is not None:
            signals.hold()

    def _after_batch(self, trainer: pl.Trainer, module: MultiTaskModule) -> None:
        if self.means:
            add_running_means(trainer, self.means)
        if self.every is None:
            return
        if not between_steps(trainer):
            return  # a signal waits for the end of the step, or of the epoch
        if trainer.global_step % self.every == 0 or signals.waiting():
            trainer.save_checkpoint(self.folder / LAST)
            log.debug("saved %s after step %d", self.folder / LAST, trainer.global_step)
        signals.release()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """A signal no longer waits."""
        signals.drop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raises a signal that came after the last step; the last checkpoint is complete."""
        signals.release()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the decision to stop, and inside of an epoch what was gathered over it."""
        logged = {key: value.detach().cpu() for key, value in trainer.callback_metrics.items()}
        checkpoint[KEY] = {"stopped": self.identity if trainer.should_stop else "", "logged": logged}
        checkpoint[KEY] |= {"identity": self.identity, "seconds": self.seconds, "starts": self.starts}
        if within_epoch(checkpoint):
            checkpoint[KEY] |= {"gathered": _gathered(trainer, pl_module), "means": running_means(trainer)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Reads both, and settles the loop's state."""
        if trainer.state.fn != "fit":
            return
        self.done = settle(checkpoint)
        kept = checkpoint.get(KEY, {})
        self.stopped = kept.get("stopped") == self.identity
        if kept.get("identity") == self.identity:
            self.before, self.starts = float(kept["seconds"]), int(kept["starts"]) + 1
        self.logged = dict(kept.get("logged", {}))
        self.gathered, self.means = dict(kept.get("gathered", {})), dict(kept.get("means", {}))


def _gathered(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
    gathered = {name: part.epoch_state() for name, part in _parts(trainer).items()}
    return {MODULE: running_state(module), **gathered}


def _load_gathered(trainer: pl.Trainer, module: pl.LightningModule, state: Mapping[str, Any]) -> None:
    load_running_state(module, state[MODULE])
    parts = _parts(trainer)
    for name in parts.keys() & state.keys():
        parts[name].load_epoch_state(state[name])


def _parts(trainer: pl.Trainer) -> dict[str, EpochState]:
    named = {callback.state_key: callback for callback in trainer.callbacks}  # type: ignore[attr-defined]
    return {name: part for name, part in named.items() if isinstance(part, EpochState)}
