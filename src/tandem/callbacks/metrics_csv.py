"""Writes one row per epoch to `metrics.csv`, across interruptions."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from tandem.reports.metrics_table import read_metrics, write_metrics
from tandem.utils.files import shortest


class MetricsCSV(pl.Callback):
    """Writes every logged value of every epoch to one table.

    Lightning's own CSV logger overwrites its file when a run resumes. This callback appends, and drops only the rows
    of epochs that are trained again. It works in any LightningModule.

    Args:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        self.rate = float("nan")
        self.validated = False
        self.stored: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the rows, so that a lost or damaged table is written again."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the rows of a checkpoint until training starts."""
        self.stored = list(state_dict["rows"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the rows of an interrupted run from its checkpoint, or from the table of an older version."""
        known = read_metrics(self.path) if self.stored is None else self.stored
        self.rows = [row for row in known if int(row["epoch"]) < trainer.current_epoch]
        if trainer.is_global_zero and self.rows:
            write_metrics(self.path, self.rows)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stores the learning rate of the epoch."""
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self.rate = float(groups[0]["lr"]) if groups else float("nan")
        self.validated = False

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Marks that the epoch has validation values; otherwise Lightning would return those of an earlier epoch."""
        self.validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epoch's row and writes the table."""
        known = trainer.callback_metrics
        fresh = [key for key in known if self.validated or not key.startswith(("val/", "val_"))]
        values = {key: shortest(float(known[key])) for key in fresh if not key.endswith("step_loss")}
        self.rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step, "lr": self.rate, **values})
        if trainer.is_global_zero:
            write_metrics(self.path, self.rows)
