"""Progress of training: a bar in a terminal; and one line of the log for each epoch, and for its start and end."""

import logging
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme
from rich import get_console
from rich.progress import BarColumn

from tandem.callbacks.bar_width import BAR, NARROW, fitting, room
from tandem.callbacks.collapse import CollapseWatch
from tandem.callbacks.split import validated
from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)


class Progress(RichProgressBar):
    """Lightning's rich progress bar, shown only in a terminal, with the losses of the step and chosen values.

    Args:
        show: logged values to show beside the losses, if they exist.
        refresh_rate: updates of the bar per second; at the end of an epoch it waits for the next update.
    """

    def __init__(self, show: Sequence[str] = (), refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate, theme=RichProgressBarTheme(metrics_format=".3f"))
        self.show = tuple(show)
        self.seen = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Checks once per stage whether the output is a terminal."""
        super().setup(trainer, pl_module, stage)
        self.seen = in_terminal()

    @property
    def is_enabled(self) -> bool:
        """Whether the bar is visible; otherwise nothing is drawn, and nothing waits for its last update."""
        return super().is_enabled and self.seen

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows a bar that is gone when it ends."""
        super().on_sanity_check_start(trainer, pl_module)
        self._leave_nothing()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows a bar that is gone when it ends."""
        super().on_train_start(trainer, pl_module)
        self._leave_nothing()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows a bar that is gone when it ends."""
        super().on_validation_start(trainer, pl_module)
        self._leave_nothing()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows a bar that is gone when it ends."""
        super().on_test_start(trainer, pl_module)
        self._leave_nothing()

    def _leave_nothing(self) -> None:
        if self.progress is not None:
            self.progress.live.transient = True  # what stays on the screen are the lines of the log

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Returns the losses of the step, the chosen values of the last epoch, and a mark if training has collapsed."""
        known = trainer.callback_metrics
        losses = [key for key in known if key.endswith("/step_loss")]
        shown: dict[str, int | str | float | dict[str, float]] = {}
        for key in (*losses, *(key for key in self.show if key in known)):
            short = _short(key)
            shown[key if short in shown else short] = float(known[key])
        marks = [callback.mark for callback in trainer.callbacks if isinstance(callback, CollapseWatch)]  # type: ignore[attr-defined]
        shown |= {"!": marks[0]} if any(marks) else {}
        if self.progress is None:
            return shown
        return fitting(shown, room(self.progress.console.width, trainer.max_epochs or 0, trainer.num_training_batches))

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """The parts of a line, so short that values fit beside them; in a narrow terminal without the speed."""
        columns = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = BAR
        return columns if get_console().width >= NARROW else columns[:-1]


def _short(key: str) -> str:
    """Shortens a logged name for the bar: `train/segmentation/step_loss` becomes `seg loss`."""
    _, *task, metric = key.split("/")
    return " ".join([*(name[:3] for name in task), metric.removeprefix("step_")])


def in_terminal() -> bool:
    """Returns whether stdout is a terminal; False if it is closed."""
    return sys.stdout is not None and sys.stdout.isatty()


class EpochLog(pl.Callback):
    """Logs a line when training starts, one for each epoch, and one when it ends, each with its reason or duration.

    The line of an epoch has its seconds, chosen values, the monitored value, and `best` if no epoch was better so far.
    In a terminal it stays above the bar.

    Args:
        show: logged values in the line, if they exist.
    """

    def __init__(self, show: Sequence[str] = ()) -> None:
        self.show = tuple(show)
        self.began = math.nan

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs where training starts, or goes on."""
        place = f"epoch {trainer.current_epoch} after {trainer.global_step} steps" if trainer.global_step else "epoch 0"
        _log(trainer, f"training {'goes on' if trainer.global_step else 'starts'} at {place}")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the time."""
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the epoch."""
        assert isinstance(pl_module, MultiTaskModule)
        known, fresh = trainer.callback_metrics, validated(trainer)  # without validation, its values are of before
        keys = [key for key in dict.fromkeys((*self.show, pl_module.monitor)) if key in known]
        values = [f"{key} {float(known[key]):.4f}" for key in keys if fresh or not key.startswith("val/")]
        last = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs - 1}"
        words = [f"epoch {trainer.current_epoch}{last}", f"{time.monotonic() - self.began:.1f} s", *values]
        _log(trainer, "  ".join([*words, *(["best"] if fresh and _is_best(trainer) else [])]))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs why training ended before its last epoch."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EarlyStopping) and callback.stopped_epoch:
                _log(
                    trainer,
                    f"early stopping after epoch {callback.stopped_epoch}: {callback.monitor} has not improved for "
                    f"{callback.wait_count} validated epochs",
                )


def _is_best(trainer: pl.Trainer) -> bool:
    """Whether the checkpoint that follows becomes the best one."""
    saved = trainer.checkpoint_callback
    if not isinstance(saved, ModelCheckpoint) or saved.monitor not in trainer.callback_metrics:
        return False
    return saved.check_monitor_top_k(trainer, trainer.callback_metrics[saved.monitor])


def _log(trainer: pl.Trainer, line: str) -> None:
    if trainer.is_global_zero:
        log.info("%s", line)
