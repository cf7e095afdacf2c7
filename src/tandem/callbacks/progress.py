"""Progress of training: a bar in a terminal, and one log line per epoch."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme
from rich import get_console
from rich.progress import BarColumn

from tandem.callbacks.bar_width import BAR, NARROW, fitting, room
from tandem.callbacks.collapse import CollapseWatch

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
    """Logs one line per epoch, so that a run without a terminal shows its progress too.

    Args:
        show: logged values in the line, if they exist.
    """

    def __init__(self, show: Sequence[str] = ()) -> None:
        self.show = tuple(show)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the losses and the chosen values of the epoch."""
        known = trainer.callback_metrics
        values = [f"{key} {float(known[key]):.4f}" for key in self.show if key in known]
        # in a terminal the bar shows the same values, and log lines would break it
        level = logging.DEBUG if in_terminal() else logging.INFO
        log.log(level, "epoch %d/%d  %s", trainer.current_epoch, (trainer.max_epochs or 0) - 1, "  ".join(values))
