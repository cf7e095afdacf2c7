"""Image panels and the Dice-against-threshold curve, for trackers and for the run's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from tandem.callbacks.split import SplitCallback
from tandem.callbacks.threshold_sweep import ThresholdSweep, dense_binary_tasks
from tandem.errors import ConfigError
from tandem.module import MultiTaskModule, Outputs
from tandem.reports.figures import sweep_figure
from tandem.reports.panels import Picture, panel_row, panel_sheet


class Panels(SplitCallback):
    """Shows the first cases of a split: picture, true mask, predicted mask, error.

    While training they go to TensorBoard every few epochs, with the Dice-against-threshold curve; when the best
    checkpoint is evaluated they are kept as PNG in the run's folder.

    Args:
        folder: where PNG files go.
        count: cases of a split, at least 0.
        every: epochs between two sets of panels, at least 1.

    Raises:
        ConfigError: a number below that.
    """

    def __init__(self, folder: str | Path, count: int = 8, every: int = 5) -> None:
        if count < 0 or every < 1:
            raise ConfigError(f"count={count}, every={every}: need count >= 0 and every >= 1")
        self.folder = Path(folder)
        self.count = count
        self.every = every
        self.rows: dict[str, list[Picture]] = {}

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Begins a new set."""
        self.rows = {}

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Collects cases, with the threshold as it stands."""
        if not self._due(trainer):
            return
        for name, task in dense_binary_tasks(module):
            rows = self.rows.setdefault(name, [])
            output = outputs.get(name)
            if output is None or len(rows) == self.count:
                continue
            for place, row in enumerate(output.rows[: self.count - len(rows)].tolist()):
                predicted = output.probabilities[place, 0] >= task.threshold[0]
                rows.append(panel_row(batch["image"][row].cpu(), output.target[place, 0].cpu(), predicted.cpu()))

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Gives the set to TensorBoard while training, to files afterwards."""
        if trainer.state.fn != "fit":
            self._to_files(trainer, stage)
        elif self._due(trainer):
            self._to_tensorboard(trainer)

    def _due(self, trainer: pl.Trainer) -> bool:
        """Always after training; every few epochs, and in the last, while training."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        return trainer.state.fn != "fit" or trainer.current_epoch % self.every == 0 or last

    def _to_tensorboard(self, trainer: pl.Trainer) -> None:
        writers = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        sweeps = [callback for callback in trainer.callbacks if isinstance(callback, ThresholdSweep)]  # type: ignore[attr-defined]
        for writer in writers:
            for name, rows in self.rows.items():
                if rows:
                    writer.add_image(f"val/{name}/panels", panel_sheet(rows), trainer.global_step, dataformats="HWC")
            for prefix, curve in (item for sweep in sweeps for item in sweep.curves.items()):
                writer.add_figure(f"{prefix}/dice_against_threshold", sweep_figure(curve), trainer.global_step)

    def _to_files(self, trainer: pl.Trainer, stage: str) -> None:
        from PIL import Image

        for name, rows in self.rows.items():
            if rows and trainer.is_global_zero:
                self.folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(panel_sheet(rows)).save(self.folder / f"{stage}_{name}.png")
