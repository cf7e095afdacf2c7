"""TensorBoard: event files in the run's folder."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from tandem.trackers.tracker import STATUS, Tracker, telling

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage


class TensorBoard(Tracker, TensorBoardLogger):
    """Lightning's logger, with the settings as text from the start, and as hparams with the best numbers at the end.

    Args:
        folder: where the event files go.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False)

    @rank_zero_only
    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Shows the settings; with metrics, a row of the HParams table."""
        super().log_hyperparams(params, metrics, step)
        if metrics is None:
            # indented, which is code in Markdown
            lines = [f"    {name}: {json.dumps(value)}" for name, value in self.hparams.items()]
            self.experiment.add_text("config", "\n".join(lines), 0)

    def text(self, name: str, text: str, step: int) -> None:
        """In the page Text."""
        self.experiment.add_text(name, text, step)

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """In the page Images."""
        self.experiment.add_image(name, image, step, dataformats="HWC")

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """In the page HParams, by what was typed where that is known, and the checkpoint in Text."""
        # null and empty containers would be left out
        plain = int | float | str
        shown = {key: v if isinstance(v, plain) else json.dumps(v) for key, v in telling(dict(self.hparams)).items()}
        self.log_hyperparams(shown, dict(best), step)
        self.text("checkpoint", checkpoint, step)

    def finish(self, failed: bool, step: int) -> None:
        """Writes what is left, and closes the file."""
        if self._experiment is not None:
            self.text("status", STATUS[failed], step)
            self._experiment.close()
