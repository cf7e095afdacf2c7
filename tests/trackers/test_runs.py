"""One job is one run in each tracker, for any number of jobs, any outcome and any number of restarts."""

import math
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trackers.conftest import composed
from tests.trackers.readers import READERS, mlflow_client

from tandem.errors import ConfigError, TrainingError
from tandem.factory import make_trainer
from tandem.trackers import Tracker, finish, log_image, log_numbers, log_settings, log_text

every_tracker = pytest.mark.parametrize("name", READERS)
pytestmark = pytest.mark.usefixtures("quiet_wandb")

Opened = tuple[Any, Path]


@pytest.fixture
def opened(runs: Path, request: pytest.FixtureRequest) -> Callable[..., Opened]:
    """A trainer with one tracker that knows its settings, as `train` makes it, and the run's folder."""
    study = "".join(letter for letter in request.node.name if letter.isalnum())

    def make(name: str, *overrides: str) -> Opened:
        config, folder = composed(runs, f"logger={name}", f"name={study}", *overrides)
        trainer = make_trainer({**config, "callbacks": {}}, folder)
        log_settings(trainer, config, folder)
        return trainer, folder

    return make


@every_tracker
def test_each_job_of_a_sweep_is_a_separate_run_with_its_status(name: str, opened: Callable[..., Opened]) -> None:
    folders = []
    for seed in (0, 1):
        trainer, folder = opened(name, f"seed={seed}")
        log_numbers(trainer, {"val/loss": 0.5 + seed})
        if seed == 1:  # names and numbers that a tracker may not like
            log_numbers(trainer, {"val/Übel: ../?/dice": 0.25, "val/lost": math.nan})
            log_image(trainer, "val/../Übel/panels", np.zeros((4, 6, 3), np.uint8))
            log_text(trainer, "collapse/Übel", "<b>it</b> is | there\nand here")
        finish(trainer, failed=seed == 1)
        folders.append(folder)
    for seed, folder in enumerate(folders):
        seen = READERS[name](folder)
        assert seen.scalars["val/loss"] == [(0, 0.5 + seed)]
        assert str(seen.config["seed"]) == str(seed)
        assert seen.status == ("finished", "failed")[seed]
        assert len(seen.images) == seed
    (odd,) = (values for key, values in seen.scalars.items() if "bel" in key)
    assert odd == [(0, 0.25)]
    assert math.isnan(seen.scalars["val/lost"][0][1])


@every_tracker
def test_an_interrupted_run_resumes_as_the_same_run(name: str, opened: Callable[..., Opened]) -> None:
    for workers in (0, 1):  # an option that is not part of a run's identity
        trainer, folder = opened(name, f"loader.workers={workers}")
        log_numbers(trainer, {"val/loss": float(workers)})
        trainer.loggers[0].finalize("failed")  # as Lightning does; as after an interruption, but memory is kept
        if workers == 1 or name not in ("mlflow", "csv"):
            finish(trainer, failed=workers == 0)
    if name == "wandb":  # offline, `wandb sync` merges parts with the same id
        logs = [path.name for path in folder.glob("wandb/offline-run-*/*.wandb")]
        assert len(set(logs)) == 1
        return
    seen = READERS[name](folder)
    assert [value for _, value in seen.scalars["val/loss"]] == [0.0, 1.0]
    assert seen.status == "finished"


def test_mlflow_starts_a_new_run_if_its_database_lost_the_old_one(opened: Callable[..., Opened]) -> None:
    _, folder = opened("mlflow")
    (folder / "mlflow_run.txt").write_text("0" * 32)
    trainer, again = opened("mlflow")
    finish(trainer)
    assert again == folder
    assert (folder / "mlflow_run.txt").read_text() != "0" * 32


@every_tracker
def test_a_run_that_never_started_leaves_nothing(name: str, tmp_path: Path) -> None:
    config, folder = composed(tmp_path / "runs", f"logger={name}")
    finish(make_trainer({**config, "callbacks": {}}, folder), failed=True)
    assert not (tmp_path / "runs").exists()


def _first_use(database: Path, folder: Path, start: Any, found: Any) -> None:
    from tandem.trackers import MLflow

    tracker = MLflow(f"sqlite:///{database}", "study", folder.name, folder)
    start.wait()
    for step in range(5):
        tracker.log_metrics({"val/loss": float(step)}, step)
    tracker.finish(failed=False, step=5)
    found.put(tracker.run_id)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_two_first_uses_of_one_database_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # fork, because the libraries are already imported
    start, found = context.Barrier(2), context.Queue()
    database = tmp_path / "mlflow.db"
    jobs = [context.Process(target=_first_use, args=(database, tmp_path / str(n), start, found)) for n in range(2)]
    for job in jobs:
        job.start()
    ids = {found.get(timeout=60) for _ in jobs}
    for job in jobs:
        job.join(10)
        assert job.exitcode == 0
    client = mlflow_client(database)
    runs = client.search_runs([client.get_experiment_by_name("study").experiment_id])
    assert {run.info.run_id for run in runs} == ids
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert all(len(client.get_metric_history(one, "val/loss")) == 5 for one in ids)


def test_a_training_that_fails_is_marked(tmp_path: Path) -> None:
    from tandem.train.run import train

    config, folder = composed(tmp_path, "logger=csv", "optimizer.lr=1e30", "trainer.max_epochs=2")
    with pytest.raises(TrainingError, match="not finite"):
        train(config, folder)
    seen = READERS["csv"](folder)
    assert seen.status == "failed"
    assert seen.summary == {}


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_without_its_package_a_tracker_names_what_to_install(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = composed(tmp_path, f"logger={name}")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ConfigError, match=rf"logger\.{name}: logger={name} needs {name} .*pip install 'tandem-mtl\[{name}\]'"
    ):
        make_trainer(config, folder)


def test_a_logger_of_lightnings_own_gets_settings_and_numbers(tmp_path: Path) -> None:
    config, folder = composed(tmp_path, "logger=none")
    own = {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "{run}"}
    trainer = make_trainer({**config, "callbacks": {}, "logger": {"own": own}}, folder)
    log_settings(trainer, config, folder)
    log_numbers(trainer, {"val/loss": 0.5})
    log_text(trainer, "note", "is not for it")
    finish(trainer)
    assert not isinstance(trainer.loggers[0], Tracker)
    trainer.loggers[0].save()
    (table,) = folder.rglob("metrics.csv")
    assert "val/loss" in table.read_text()
