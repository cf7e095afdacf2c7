"""Trackio: a light dashboard with a sqlite file."""

import contextlib
import io
import os
from argparse import Namespace
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.utilities import rank_zero_only

from tandem.trackers.tracker import STATUS, Tracker
from tandem.utils.files import write_text
from tandem.utils.optional import load

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage

FOLDER_VARIABLE = "TRACKIO_DIR"
"""Environment variable with the folder of Trackio's files; Trackio reads it once, at import."""


class Trackio(Tracker):
    """A run of Trackio. A resumed run continues the same Trackio run.

    Args:
        root: folder of Trackio's files, unless `TRACKIO_DIR` is set, by the user or an earlier run in this process.
        project: project of the run.
        group: group of the run: its study.
        name: name of the run.
        folder: the run's folder, where a file records that the run was opened.

    Raises:
        ConfigError: Trackio is not installed.
    """

    def __init__(self, root: str | Path, project: str, group: str, name: str, folder: str | Path) -> None:
        super().__init__()
        os.environ.setdefault(FOLDER_VARIABLE, str(Path(root).resolve()))
        self.trackio = load("trackio", "trackio", "logger=trackio")
        self.arguments = {"project": project, "group": group, "name": name}
        self.kept = Path(folder) / "trackio_run.txt"
        self.settings: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Required by Lightning: the project."""
        return self.arguments["project"]

    @property
    def version(self) -> str:
        """Required by Lightning: the run."""
        return self.arguments["name"]

    @cached_property
    def run(self) -> Any:
        """Trackio's run, opened at first use; Trackio stores the configuration with the first number."""
        resume = "allow" if self.kept.exists() else "never"
        with _quietly():
            run = self.trackio.init(
                **self.arguments,
                config=self.settings,
                resume=resume,
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        write_text(self.kept, run.name)
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs metrics."""
        self.run.log({name: float(value) for name, value in metrics.items()}, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Stores the configuration, to be logged when the run opens."""
        self.settings = dict(params)

    def text(self, name: str, text: str, step: int) -> None:
        """Logs a text as a report."""
        self.run.log({name: self.trackio.Markdown(text)}, step)

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """Logs an image, on the media page."""
        self.run.log({name: self.trackio.Image(image)}, step)

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """Logs metrics and a report."""
        self.log_metrics(best, step)
        self.text("checkpoint", checkpoint, step)

    def finish(self, failed: bool, step: int) -> None:
        """Logs the final status and ends the run; a failure raises an alert."""
        if "run" not in self.__dict__:
            return
        with _quietly():
            if failed:
                self.run.alert("failed", level=self.trackio.AlertLevel.ERROR, step=step)
            self.text("status", STATUS[failed], step)
            self.trackio.finish()


def _quietly() -> contextlib.redirect_stdout[io.StringIO]:
    """Hides Trackio's printed advice on its dashboard, which the README gives too."""
    return contextlib.redirect_stdout(io.StringIO())
