"""Training as its user sees it: repeatable, resumable, honest about its data."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.train.run import train, train_job

REPOSITORY = Path(__file__).parents[2]
TINY = [
    "experiment=tiny",
    "augment=light",
    "scheduler=cosine",
    "tasks.classification.dropout=0.3",
    "data.train=24",
    "data.val=12",
    "data.test=12",
    "data.seed=3",
    "trainer.max_epochs=4",
    "trainer.enable_progress_bar=false",
    "callbacks.panels.count=1",
    "logger=none",
]


def configuration(*overrides: str) -> dict[str, Any]:
    """A resolved tiny configuration."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", [*TINY, *overrides]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished tiny run."""
    folder = tmp_path_factory.mktemp("finished")
    train(configuration(), folder)
    return folder


def read(folder: Path) -> dict[str, Any]:
    """What `results.json` holds."""
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def test_the_same_run_twice_gives_the_same_metrics_to_the_last_bit(finished: Path, tmp_path: Path) -> None:
    train(configuration(), tmp_path)
    assert read(tmp_path)["metrics"] == read(finished)["metrics"]
    assert (tmp_path / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()


@pytest.mark.full
def test_the_order_in_which_tasks_are_named_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tandem")
    short = ["trainer.max_epochs=1", "balance=uncertainty"]
    orders = ("classification,segmentation", "segmentation,classification")
    for order in orders:
        caplog.clear()
        train(configuration(f"task=[{order}]", *short), tmp_path / order)
        assert caplog.messages.count("best epoch: highest val/segmentation/dice") == 1
    first, second = (read(tmp_path / order) for order in orders)
    assert first["hash"] == second["hash"]
    assert first["metrics"] == second["metrics"]
    assert list(first["metrics"]) == list(second["metrics"])
    for results in (first, second):
        assert (results["monitor"], results["mode"]) == ("val/segmentation/dice", "max")
        assert (results["config"]["monitor"], results["config"]["mode"]) == ("val/segmentation/dice", "max")
    assert first["config"] == second["config"]
    kept = [(tmp_path / order / "config.yaml").read_text() for order in orders]
    assert all("\nmonitor: val/segmentation/dice\n" in text for text in kept)


@pytest.mark.full
def test_another_seed_gives_another_run_on_the_same_data(finished: Path, tmp_path: Path) -> None:
    other = train(configuration("seed=1"), tmp_path)
    assert other["hash"] != read(finished)["hash"]
    assert other["metrics"] != read(finished)["metrics"]
    assert other["data"] == read(finished)["data"]


@pytest.mark.full
def test_metrics_do_not_depend_on_workers(finished: Path, tmp_path: Path) -> None:
    train(configuration("loader.workers=1"), tmp_path)
    assert read(tmp_path)["metrics"] == read(finished)["metrics"]


def test_checkpoints_load_without_pickle_and_carry_the_threshold(finished: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        state = torch.load(finished / name, weights_only=True)
        assert state["state_dict"]["task_modules.segmentation.threshold"].shape == (1,)
    best = torch.load(finished / "best.ckpt", weights_only=True)
    stored = float(best["state_dict"]["task_modules.segmentation.threshold"])
    assert read(finished)["thresholds"]["segmentation"] == [pytest.approx(stored, abs=1e-6)]
    assert read(finished)["metrics"]["test/segmentation/threshold"] == read(finished)["thresholds"]["segmentation"][0]


def test_results_name_what_they_rest_on(finished: Path) -> None:
    results = read(finished)
    assert set(results["data"]["fingerprint"]) == {"train", "val", "test"}
    assert results["versions"]["torch"] == torch.__version__.split("+")[0]
    assert results["threads"] == torch.get_num_threads()
    assert results["best_epoch"] in range(4)
    assert results["seconds"] > 0


class Removes(pl.Callback):
    """Takes a file away while a run trains."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """As soon as it has begun."""
        self.path.unlink()


def test_weights_are_named_by_their_content_though_their_file_is_gone(finished: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.ckpt"
    shutil.copy(finished / "best.ckpt", given)
    content = hashlib.sha256(given.read_bytes()).hexdigest()
    config = configuration(f"network.weights={given}", "trainer.max_epochs=1")
    expected = run_hash(config)
    results = train(config, tmp_path / "run", [Removes(given)])
    assert results["weights"] == {"file": "given.ckpt", "sha256": content}
    assert results["hash"] == expected
    assert content in (tmp_path / "run" / "report.html").read_text()
    assert read(finished)["weights"] is None


def test_the_best_epoch_is_the_one_whose_official_dice_is_highest(finished: Path) -> None:
    from tandem.reports.metrics_table import read_metrics

    dice = [float(row["val/segmentation/dice"]) for row in read_metrics(finished / "metrics.csv")]
    assert read(finished)["best_epoch"] == dice.index(max(dice))
    assert read(finished)["metrics"]["val/segmentation/dice"] == pytest.approx(max(dice), abs=1e-6)


def test_data_that_changed_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    train(configuration("trainer.max_epochs=1"), tmp_path)
    (tmp_path / "results.json").unlink()
    kept = json.loads((tmp_path / "data.json").read_text())
    kept["fingerprint"]["val"] = "0" * 64
    (tmp_path / "data.json").write_text(json.dumps(kept))
    (tmp_path / "artifacts.json").unlink()
    with pytest.raises(DataError, match=r"changed since this run began \(val differ\)"):
        train(configuration("trainer.max_epochs=1"), tmp_path)
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode=up"], "mode is 'up'"),
        (["monitor=test/segmentation/dice"], "chosen on validation data"),
        (["monitor=val/detection/dice"], "there is no task 'detection'"),
        (["monitor=val"], "must be like val/<task>/<metric>"),
        (["monitor=val/segmentation/iou"], "whose direction is unknown; add mode=max"),
        (["monitor=val/loss", "mode=max"], "is a loss; set mode=min"),
        (["callbacks.best=null"], "callbacks.best is off"),
        (["+trainer.fast_dev_run=true"], "use experiment=tiny"),
    ],
)
def test_an_invalid_monitor_is_refused(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train(configuration(*overrides), tmp_path)


def test_a_finished_run_without_its_page_gets_it(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        train_job(compose("train", TINY), tmp_path / "run")
    assert (tmp_path / "run" / "report.html").stat().st_size > 0


def test_a_monitor_that_nothing_logs_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'val/segmentation/dice'"):
        train(configuration("monitor=val/segmentation/dicee", "mode=max", "trainer.max_epochs=1"), tmp_path)
    assert not (tmp_path / "results.json").exists()


@pytest.mark.full
def test_a_monitored_loss_whose_weights_move_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rising = ["loss/binary@tasks.segmentation.loss=dice_bce", "trainer.max_epochs=1"]
    rising.append("tasks.segmentation.loss.weights.bce={from: 0.0, to: 1.0, end: 9}")
    for monitor, warned in (("val/loss", True), ("val/segmentation/loss/dice", False)):
        caplog.clear()
        train(configuration(*rising, f"monitor={monitor}", "mode=min"), tmp_path / monitor)
        warning = f"monitor={monitor} compares epochs with different weights of the term 'bce' of task 'segmentation'"
        assert (warning in caplog.text) == warned


def test_a_monitored_task_without_any_validation_target_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tandem.data.phantom import Phantom

    load = Phantom.load

    def without_masks(self: Phantom) -> dict[str, Samples]:
        splits = load(self)
        return {**splits, "val": dataclasses.replace(splits["val"], masks=torch.full_like(splits["val"].masks, 255))}

    monkeypatch.setattr(Phantom, "load", without_masks)
    with pytest.raises(DataError, match="no image of the split 'val' has a target for task 'segmentation'"):
        train(configuration(), tmp_path)
    other = ["monitor=val/classification/balanced_accuracy", "trainer.max_epochs=1"]
    metrics = train(configuration(*other), tmp_path / "other")["metrics"]
    assert not [key for key in metrics if key.startswith("val/segmentation/dice")]


def command(folder: Path, *overrides: str) -> list[str]:
    """The command line of a tiny run."""
    return [sys.executable, str(REPOSITORY / "scripts" / "train.py"), *TINY, f"runs={folder}", *overrides]


@pytest.mark.full
def test_a_run_killed_and_started_again_ends_like_an_unbroken_one(finished: Path, tmp_path: Path) -> None:
    variables = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command(tmp_path), env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not list(tmp_path.glob("tiny/*/last.ckpt")) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = next(tmp_path.glob("tiny/*"))
    assert not (folder / "results.json").exists()
    done = subprocess.run(command(tmp_path), env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "resuming from" in done.stdout
    assert read(folder)["metrics"] == read(finished)["metrics"]
    assert (folder / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()
    again = subprocess.run(command(tmp_path), env=variables, capture_output=True, text=True, timeout=60)
    assert "already finished" in again.stdout
    assert "report:" in again.stdout
