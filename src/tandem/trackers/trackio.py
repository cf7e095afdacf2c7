"""Trackio: a light dashboard over one sqlite file."""

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
"""Environment variable with the folder of Trackio's files, which it reads once, when it is imported."""


class Trackio(Tracker):
    """A run of Trackio. A run that was cut goes on as the same one.

    Args:
        root: where Trackio keeps its files, unless `TRACKIO_DIR` is set, or a run of this process has set it.
        project: of the run.
        group: of the run: its study.
        name: of the run.
        folder: the run's folder, where a note says that it was opened.

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
        """Lightning's: the project."""
        return self.arguments["project"]

    @property
    def version(self) -> str:
        """Lightning's: the run."""
        return self.arguments["name"]

    @cached_property
    def run(self) -> Any:
        """Trackio's run, opened at its first use; it keeps settings with the first number that it gets."""
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
        """As metrics."""
        self.run.log({name: float(value) for name, value in metrics.items()}, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """As the run's configuration."""
        self.settings = dict(params)

    def text(self, name: str, text: str, step: int) -> None:
        """As a report."""
        self.run.log({name: self.trackio.Markdown(text)}, step)

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """In the media."""
        self.run.log({name: self.trackio.Image(image)}, step)

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """As metrics and a report."""
        self.log_metrics(best, step)
        self.text("checkpoint", checkpoint, step)

    def finish(self, failed: bool, step: int) -> None:
        """Writes what is left; a failure is an alert."""
        if "run" not in self.__dict__:
            return
        with _quietly():
            if failed:
                self.run.alert("failed", level=self.trackio.AlertLevel.ERROR, step=step)
            self.text("status", STATUS[failed], step)
            self.trackio.finish()


def _quietly() -> contextlib.redirect_stdout[io.StringIO]:
    """Hides advice on a dashboard that the README gives."""
    return contextlib.redirect_stdout(io.StringIO())
