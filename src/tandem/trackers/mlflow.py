"""MLflow: one database for all runs, sqlite by default."""

import contextlib
import logging
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

from tandem.trackers.tracker import STATUS, Tracker, behind, distinguishing, headlines, results_table
from tandem.utils.files import write_text
from tandem.utils.locks import holding
from tandem.utils.optional import load

if TYPE_CHECKING:
    from tandem.reports.panels import RGBImage

SQLITE = "sqlite:///"
LONGEST = {"param": 6000, "tag": 8000}
"""Maximum length of a value in MLflow."""


class MLflow(Tracker):
    """A run of MLflow, in one experiment for each study. A resumed run continues the same MLflow run.

    With sqlite, images are stored in `mlartifacts` beside the database. A lock lets only one process at a time create
    the database, since two at once would corrupt it. (Lightning's own logger creates files in the current folder and
    ends the run after `fit`.)

    Args:
        tracking_uri: `sqlite:///` and a file, or the address of a server.
        experiment: name of the study.
        name: name of the run.
        folder: the run's folder, which stores the MLflow run id.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(self, tracking_uri: str, experiment: str, name: str, folder: str | Path) -> None:
        super().__init__()
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it at import
        self.mlflow = load("mlflow", "mlflow", "logger=mlflow")
        self.tracking_uri = tracking_uri
        self.experiment_name = experiment
        self.run_name = name
        self.kept = Path(folder) / "mlflow_run.txt"
        self.run_id: str | None = None

    @property
    def name(self) -> str:
        """Required by Lightning: the study."""
        return self.experiment_name

    @property
    def version(self) -> str:
        """Required by Lightning: the run."""
        return self.run_name

    @cached_property
    def client(self) -> Any:
        """MLflow's client; creates the database if necessary."""
        warnings.filterwarnings(
            "ignore", message=".*``noload`` loader strategy is deprecated.*"
        )  # MLflow's own warning
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # its lines are about its own tables
        with _one_at_a_time(self.tracking_uri):
            client = self.mlflow.MlflowClient(self.tracking_uri)
            if client.get_experiment_by_name(self.experiment_name) is None:
                client.create_experiment(self.experiment_name, _artifacts(self.tracking_uri))
        return client

    @property
    def run(self) -> str:
        """The id of the MLflow run; opens the run at first use."""
        if self.run_id is None:
            self.run_id = self._reopened() or self._opened()
        return self.run_id

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs metrics."""
        now = int(time.time() * 1000)
        entry = self.mlflow.entities.Metric
        entries = [entry(_allowed(name), float(value), now, step or 0) for name, value in metrics.items()]
        for some in _chunks(entries, 1000):  # MLflow's limit for one call
            self.client.log_batch(self.run, metrics=some)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Logs the configuration as the artifact `config.json`, and the settings that distinguish runs as parameters.

        With all settings as parameters, MLflow's page would show a long list above the images. Parameters that a
        resumed run already has are kept, because MLflow does not allow changes.
        """
        self.client.log_dict(self.run, dict(params), "config.json")
        known = self.client.get_run(self.run).data.params
        entry = self.mlflow.entities.Param
        new = [(_allowed(key), str(value)[: LONGEST["param"]]) for key, value in distinguishing(dict(params)).items()]
        for some in _chunks([entry(key, value) for key, value in new if key not in known], 100):
            self.client.log_batch(self.run, params=some)

    def text(self, name: str, text: str, step: int) -> None:
        """Logs a tag."""
        self.client.set_tag(self.run, _allowed(name), text[: LONGEST["tag"]])

    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """Logs an image, shown in the image grid with a slider for steps."""
        self.client.log_image(self.run, image, key=_allowed(behind(name)), step=step)

    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """Logs the main results as metrics, all of them as a table among the artifacts, and a tag."""
        self.log_metrics(headlines(best))  # without a step, so that MLflow shows them as bars
        self.client.log_text(self.run, results_table(best), "results.md")
        self.client.log_dict(self.run, dict(best), "results.json")
        self.text("checkpoint", checkpoint, step)

    def finish(self, failed: bool, step: int) -> None:
        """Sets MLflow's final status."""
        if self.run_id is not None:
            self.client.set_terminated(self.run_id, STATUS[failed].upper())

    def _opened(self) -> str:
        home = self.client.get_experiment_by_name(self.experiment_name)
        hash_ = {"hash": self.kept.parent.name}
        made: str = self.client.create_run(home.experiment_id, run_name=self.run_name, tags=hash_).info.run_id
        write_text(self.kept, made)
        return made

    def _reopened(self) -> str | None:
        """Reopens the run that this folder started; None if there is none or the database no longer has it."""
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
    """Replaces characters that MLflow does not allow in names."""
    return re.sub(r"[^A-Za-z0-9_/. -]", "_", name)


def _chunks(entries: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _database(tracking_uri: str) -> Path | None:
    return Path(tracking_uri.removeprefix(SQLITE)).resolve() if tracking_uri.startswith(SQLITE) else None


def _artifacts(tracking_uri: str) -> str | None:
    """Returns the location of images for sqlite; None for a server, which has its own."""
    database = _database(tracking_uri)
    return None if database is None else (database.parent / "mlartifacts").as_uri()


@contextlib.contextmanager
def _one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Locks a database file while this process creates its tables."""
    database = _database(tracking_uri)
    if database is None:
        yield
        return
    with holding(database.with_name(f".{database.name}.lock")):
        yield
