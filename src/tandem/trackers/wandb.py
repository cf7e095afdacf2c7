"""Weights and Biases, offline by default."""

from argparse import Namespace
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.utilities import rank_zero_only

from tandem.trackers.tracker import STATUS, Tracker
from tandem.utils.optional import load

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage

STEP = "trainer/global_step"
"""The step metric of curves, named as in Lightning's own logger."""


class Wandb(Tracker):
    """A run of Weights and Biases. A resumed run continues with the same wandb run id.

    Args:
        folder: the run's folder, where `wandb/` is created.
        project: project of the run.
        group: group of the run: its study.
        name: name of the run.
        offline: upload nothing until `wandb sync`.
        options: further arguments of `wandb.init`, such as `entity` and `tags`.

    Raises:
        ConfigError: wandb is not installed.
    """

    def __init__(
        self, folder: str | Path, project: str, group: str, name: str, offline: bool = True, **options: Any
    ) -> None:
        super().__init__()
        self.wandb = load("wandb", "wandb", "logger=wandb")
        self.folder = Path(folder)
        self.arguments = {"project": project, "group": group, "name": name, **options}
        self.offline = offline
        self.settings: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Required by Lightning: the project."""
        return str(self.arguments["project"])

    @property
    def version(self) -> str:
        """Required by Lightning: the run."""
        return str(self.arguments["name"])

    @cached_property
    def run(self) -> Any:
        """Wandb's run, opened at first use and never shared with another job in this process."""
        place = {"mode": "offline"} if self.offline else {"resume": "allow"}
        run = self.wandb.init(
            dir=self.folder, id=self._earlier(), config=self.settings, reinit="create_new", **place, **self.arguments
        )
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs metrics."""
        self.run.log({**metrics, STEP: step})

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Stores the configuration, to be logged when the run opens."""
        self.settings = dict(params)

    def text(self, name: str, text: str, step: int) -> None:
        """Logs a text as a table with one row."""
        self.log_metrics({name: self.wandb.Table(columns=["text"], data=[[text]])}, step)

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """Logs an image, in the media panels."""
        self.log_metrics({name: self.wandb.Image(image)}, step)

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """Logs the summary, shown in the table of runs."""
        self.run.summary.update({**best, "checkpoint": checkpoint})

    def finish(self, failed: bool, step: int) -> None:
        """Ends the run, with an exit code that marks failure."""
        if "run" in self.__dict__:
            self.run.summary.update({"status": STATUS[failed]})
            self.run.finish(exit_code=int(failed))

    def _earlier(self) -> str | None:
        """Returns the id of this run's first wandb run, from wandb's folder name `<mode>-<time>-<id>`."""
        found = sorted((self.folder / "wandb").glob("*run-*-*"))
        return found[0].name.rpartition("-")[2] if found else None
