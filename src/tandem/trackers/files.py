"""A tracker without a dashboard: tables, JSON and PNG files in the run's folder."""

import csv
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.utilities import rank_zero_only

from tandem.trackers.tracker import STATUS, Tracker
from tandem.utils.files import write_json, write_whole

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage


class Files(Tracker):
    """Writes numbers and texts as csv lines (`step,name,value`), images as PNG, configuration and summary as JSON.

    Unlike `metrics.csv`, which every run has and which has one row for each epoch, it also contains values logged
    within epochs. A resumed run appends lines: if a step and name occur several times, the last line is valid.

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)

    @property
    def name(self) -> str:
        """Required by Lightning: the tracker's name."""
        return "files"

    @property
    def version(self) -> str:
        """Required by Lightning; empty, since the folder identifies the run."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Appends lines to `scalars.csv`."""
        self._append("scalars.csv", [(step, name, float(value)) for name, value in metrics.items()])

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Writes the configuration by dotted name to `config.json`."""
        write_json(self.folder / "config.json", params)

    def text(self, name: str, text: str, step: int) -> None:
        """Appends a line to `texts.csv`."""
        self._append("texts.csv", [(step, name, text)])

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """Writes `images/<name>-<step>.png`, with `_` for special characters in the name."""
        from PIL import Image

        plain = re.sub(r"[^\w.-]+", "_", name)
        place = self.folder / "images" / f"{plain}-{step}.png"
        write_whole(place, lambda file: Image.fromarray(image).save(file, format="png"))

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """Writes `summary.json`."""
        write_json(self.folder / "summary.json", {**best, "checkpoint": checkpoint})

    def finish(self, failed: bool, step: int) -> None:
        """Appends the final status to `texts.csv`."""
        if self.folder.exists():
            self.text("status", STATUS[failed], step)

    def _append(self, table: str, rows: Sequence[tuple[int | None, str, Any]]) -> None:
        path = self.folder / table
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(("step", "name", "text" if table == "texts.csv" else "value"))
            writer.writerows(rows)
