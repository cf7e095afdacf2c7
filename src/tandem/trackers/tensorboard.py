"""TensorBoard: event files in the run's folder."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from tandem.trackers.tracker import COMPUTED, STATUS, Tracker, behind, distinguishing, headlines, results_table
from tandem.utils.lazy_imports import load

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage


class TensorBoard(Tracker, TensorBoardLogger):
    """Lightning's logger, with the configuration as text at the start, and as hparams with the best metrics at the end.

    Args:
        folder: where the event files go.
        name: of the run on the dashboard: a folder below it. One that a run has begun with stays.
    """

    def __init__(self, folder: str | Path, name: str = "") -> None:
        begun = next(Path(folder).rglob("events.out.tfevents.*"), None)
        version = name if begun is None else begun.parent.relative_to(folder).as_posix()
        super().__init__(save_dir=folder, name="", version="" if version == "." else version, default_hp_metric=False)

    @rank_zero_only
    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Logs the configuration as text; with metrics, as a row of the HParams table."""
        load("torch.utils.tensorboard")
        super().log_hyperparams(params, metrics, step)
        if metrics is None:
            # four spaces make a code block in Markdown
            lines = [f"    {name}: {json.dumps(value)}" for name, value in self.hparams.items()]
            self.experiment.add_text("config", "\n".join(lines), 0)

    def text(self, name: str, text: str, step: int) -> None:
        """Logs a text, on the Text page."""
        self.experiment.add_text(name, text, step)

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """Logs an image, on the Images page."""
        self.experiment.add_image(behind(name), image, step, dataformats="HWC")

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """Logs the main results on the HParams page, with the settings that distinguish runs; all results as text."""
        # as JSON, because TensorBoard leaves out null and containers
        plain, settings = int | float | str, distinguishing(dict(self.hparams))
        shown = {_sorted(key): v if isinstance(v, plain) else json.dumps(v) for key, v in settings.items()}
        self.log_hyperparams(shown, headlines(best), step)
        self.text("results", results_table(best), step)
        self.text("checkpoint", checkpoint, step)

    def finish(self, failed: bool, step: int) -> None:
        """Logs the final status and closes the file."""
        if self._experiment is not None:
            self.text("status", STATUS[failed], step)
            self._experiment.close()


def _sorted(key: str) -> str:
    """A computed setting under the name of its option: the page shows the first names alone, and typed ones matter."""
    return f"{key.removeprefix(COMPUTED)} (computed)" if key.startswith(COMPUTED) else key
