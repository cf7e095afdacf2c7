"""MLflow: one database for all runs, sqlite unless told otherwise."""

import contextlib
import os
import re
import time
import warnings
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.utilities import rank_zero_only

from tandem.trackers.tracker import STATUS, Tracker, telling
from tandem.utils.files import write_text
from tandem.utils.optional import load

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage

SQLITE = "sqlite:///"
LONGEST = {"param": 6000, "tag": 8000}
"""Characters of a value that MLflow keeps."""


class MLflow(Tracker):
    """A run of MLflow, in an experiment for each study. A run that was cut goes on as the same one.

    With sqlite, images lie in `mlartifacts` beside the database, which is made by one process at a time: two that
    did so at once would break it. Lightning's own logger would make it wherever it is run, and end the run with `fit`.

    Args:
        tracking_uri: `sqlite:///` and a file, or the address of a server.
        experiment: the study.
        name: of the run.
        folder: the run's folder, where its identity is kept.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(self, tracking_uri: str, experiment: str, name: str, folder: str | Path) -> None:
        super().__init__()
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported
        self.mlflow = load("mlflow", "mlflow", "logger=mlflow")
        self.tracking_uri = tracking_uri
        self.experiment_name = experiment
        self.run_name = name
        self.kept = Path(folder) / "mlflow_run.txt"
        self.run_id: str | None = None

    @property
    def name(self) -> str:
        """Lightning's: the study."""
        return self.experiment_name

    @property
    def version(self) -> str:
        """Lightning's: the run."""
        return self.run_name

    @cached_property
    def client(self) -> Any:
        """MLflow's client, once the database is ready."""
        warnings.filterwarnings("ignore", message=".*``noload`` loader strategy is deprecated.*")  # MLflow's own
        with _one_at_a_time(self.tracking_uri):
            client = self.mlflow.MlflowClient(self.tracking_uri)
            if client.get_experiment_by_name(self.experiment_name) is None:
                client.create_experiment(self.experiment_name, _artifacts(self.tracking_uri))
        return client

    @property
    def run(self) -> str:
        """The identity of the run, which is opened where it is not yet."""
        if self.run_id is None:
            self.run_id = self._reopened() or self._opened()
        return self.run_id

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """As metrics."""
        now = int(time.time() * 1000)
        entry = self.mlflow.entities.Metric
        entries = [entry(_allowed(name), float(value), now, step or 0) for name, value in metrics.items()]
        for some in _chunks(entries, 1000):  # as many as MLflow takes at once
            self.client.log_batch(self.run, metrics=some)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """As `config.json` among the artifacts, and those that tell runs apart as parameters.

        All of them as parameters would hide the images, above which MLflow writes a run's parameters. One that a run
        has from before it was cut stays, since MLflow lets none change.
        """
        self.client.log_dict(self.run, dict(params), "config.json")
        known = self.client.get_run(self.run).data.params
        entry = self.mlflow.entities.Param
        new = [(_allowed(key), str(value)[: LONGEST["param"]]) for key, value in telling(dict(params)).items()]
        for some in _chunks([entry(key, value) for key, value in new if key not in known], 100):
            self.client.log_batch(self.run, params=some)

    def text(self, name: str, text: str, step: int) -> None:
        """As a tag."""
        self.client.set_tag(self.run, _allowed(name), text[: LONGEST["tag"]])

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """In the grid of images, with a slider for steps."""
        self.client.log_image(self.run, image, key=_allowed(name), step=step)

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """As metrics and a tag."""
        self.log_metrics(best)  # without a step, which makes bars of them that stand side by side
        self.text("checkpoint", checkpoint, step)

    def finish(self, failed: bool, step: int) -> None:
        """With MLflow's word for how it ended."""
        if self.run_id is not None:
            self.client.set_terminated(self.run_id, STATUS[failed].upper())

    def _opened(self) -> str:
        home = self.client.get_experiment_by_name(self.experiment_name)
        made: str = self.client.create_run(home.experiment_id, run_name=self.run_name).info.run_id
        write_text(self.kept, made)
        return made

    def _reopened(self) -> str | None:
        """The run that this folder began, unless the database does not know it any more."""
        if not self.kept.exists():
            return None
        earlier = self.kept.read_text(encoding="utf-8")
        try:
            self.client.update_run(earlier, status="RUNNING")
        except self.mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return earlier


def _allowed(name: str) -> str:
    """A name in characters that MLflow allows."""
    return re.sub(r"[^A-Za-z0-9_/. -]", "_", name)


def _chunks(entries: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _database(tracking_uri: str) -> Path | None:
    return Path(tracking_uri.removeprefix(SQLITE)).resolve() if tracking_uri.startswith(SQLITE) else None


def _artifacts(tracking_uri: str) -> str | None:
    """Where images go; a server knows by itself."""
    database = _database(tracking_uri)
    return None if database is None else (database.parent / "mlartifacts").as_uri()


@contextlib.contextmanager
def _one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Holds other processes back from a database file until this one has made its tables."""
    import fcntl

    database = _database(tracking_uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed, also by death
        yield
