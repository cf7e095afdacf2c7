"""Image panels, for trackers and for the run's folder."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from tandem.callbacks.split import SplitCallback, due
from tandem.callbacks.threshold_sweep import dense_binary_tasks
from tandem.errors import ConfigError
from tandem.module import MultiTaskModule, Outputs
from tandem.reports.panels import RGBImage, panel_row, panel_sheet
from tandem.trackers import log_image
from tandem.utils.files import write_whole


class Panels(SplitCallback):
    """Draws the first cases of a split: image, true mask, predicted mask, error.

    During training they are sent to the trackers every few epochs; when the best checkpoint is evaluated they are saved
    as PNG files in the run's folder.

    Args:
        folder: where PNG files are written.
        count: number of cases per split, at least 0.
        every: epochs between two sets of panels, at least 1.

    Raises:
        ConfigError: if a number is below its minimum.
    """

    def __init__(self, folder: str | Path, count: int = 8, every: int = 5) -> None:
        if count < 0 or every < 1:
            raise ConfigError(f"count={count}, every={every}: need count >= 0 and every >= 1")
        self.folder = Path(folder)
        self.count = count
        self.every = every
        self.rows: dict[str, list[RGBImage]] = {}

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Starts a new set."""
        self.rows = {}

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Collects cases, with the current threshold."""
        if not (self._due(trainer) and trainer.is_global_zero):
            return
        for name, task in dense_binary_tasks(module):
            rows = self.rows.setdefault(name, [])
            output = outputs.get(name)
            if output is None or len(rows) == self.count:
                continue
            own = output.rows[output.rows < len(batch["image"])]  # the rows of rank 0
            for place, row in enumerate(own[: self.count - len(rows)].tolist()):
                predicted = output.probabilities[place, 0] >= task.threshold[0]
                rows.append(panel_row(batch["image"][row].cpu(), output.target[place, 0].cpu(), predicted.cpu()))

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Sends the set to the trackers during training, and writes it to files afterwards."""
        if trainer.state.fn != "fit":
            self._to_files(trainer, stage)
        elif self._due(trainer):
            for name, rows in self.rows.items():
                if rows:
                    log_image(trainer, f"val/{name}/panels", panel_sheet(rows))

    def _due(self, trainer: pl.Trainer) -> bool:
        """Returns whether to draw: always after training; during training every few epochs and in the last one."""
        return trainer.state.fn != "fit" or due(trainer, self.every)

    def _to_files(self, trainer: pl.Trainer, stage: str) -> None:
        from PIL import Image

        for name, rows in self.rows.items():
            if rows and trainer.is_global_zero:
                sheet = Image.fromarray(panel_sheet(rows))
                write_whole(self.folder / f"{stage}_{name}.png", partial(sheet.save, format="png"))
