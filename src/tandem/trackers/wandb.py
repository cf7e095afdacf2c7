"""Weights and Biases, offline unless told otherwise."""

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
"""What curves are drawn over; Lightning's own logger calls it so."""


class Wandb(Tracker):
    """A run of Weights and Biases. A run that was cut goes on under the identity that it had.

    Args:
        folder: the run's folder, where `wandb/` goes.
        project: of the run.
        group: of the run: its study.
        name: of the run.
        offline: whether nothing is sent until `wandb sync`.
        options: further ones of `wandb.init`, such as `entity` and `tags`.

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
        """Lightning's: the project."""
        return str(self.arguments["project"])

    @property
    def version(self) -> str:
        """Lightning's: the run."""
        return str(self.arguments["name"])

    @cached_property
    def run(self) -> Any:
        """Wandb's run, opened at its first use, and never that of another job in this process."""
        place = {"mode": "offline"} if self.offline else {"resume": "allow"}
        run = self.wandb.init(
            dir=self.folder, id=self._earlier(), config=self.settings, reinit="create_new", **place, **self.arguments
        )
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """In the charts."""
        self.run.log({**metrics, STEP: step})

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """As the run's configuration."""
        self.settings = dict(params)

    def text(self, name: str, text: str, step: int) -> None:
        """A table of one line."""
        self.log_metrics({name: self.wandb.Table(columns=["text"], data=[[text]])}, step)

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """In the media panels."""
        self.log_metrics({name: self.wandb.Image(image)}, step)

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """In the table of runs."""
        self.run.summary.update({**best, "checkpoint": checkpoint})

    def finish(self, failed: bool, step: int) -> None:
        """With the exit code that wandb knows failure by."""
        if "run" in self.__dict__:
            self.run.summary.update({"status": STATUS[failed]})
            self.run.finish(exit_code=int(failed))

    def _earlier(self) -> str | None:
        """The identity under which the run was first tracked: wandb's folders are called `<mode>-<time>-<id>`."""
        found = sorted((self.folder / "wandb").glob("*run-*-*"))
        return found[0].name.rpartition("-")[2] if found else None
