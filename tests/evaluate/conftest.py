"""A finished run with every kind of task that the phantoms can teach, and its evaluation on test data."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import EvaluateSettings, read_settings
from tandem.train.run import train

SMALL = ["experiment=tiny", "logger=none", "callbacks.panels=null", "trainer.enable_progress_bar=false"]
PHANTOMS = ["data.train=24", "data.val=24", "data.test=24", "data.seed=3", "optimizer.lr=1e-2"]
TASKS = "task=[classification,yes_no,regression,embedding,segmentation]"


def finished(folder: Path, *overrides: str) -> Path:
    """Trains a tiny run."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides=[*SMALL, *overrides])
    folder.mkdir()
    train(resolve(config), folder)
    return folder


def settings(run: Path, **changes: Any) -> EvaluateSettings:
    """Those of `conf/evaluate.yaml`, with few samples and other values."""
    shipped: dict[str, Any] = {
        "run": str(run), "split": "test", "threshold": "stored", "batch_size": None, "device": None, "masks": True,
        "cases": 1, "page": True, "samples": 50, "seed": 0, "data": {"root": None},
    }  # fmt: skip
    return read_settings({**shipped, **changes})


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The rows of `images.csv`."""
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with five tasks."""
    return finished(tmp_path_factory.mktemp("trained") / "run", *PHANTOMS, TASKS)


@pytest.fixture(scope="session")
def evaluated(trained: Path) -> Path:
    """The folder of its evaluation on test data."""
    evaluate_run(settings(trained, cases=2))
    return trained / "evaluation" / "test"


@pytest.fixture(scope="session")
def metrics(evaluated: Path) -> Mapping[str, Any]:
    """Content of its `metrics.json`."""
    found: dict[str, Any] = json.loads((evaluated / "metrics.json").read_text())
    return found


@pytest.fixture(scope="session")
def trained_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with the one task that most can go wrong with; its page has few figures, which take the time."""
    return finished(tmp_path_factory.mktemp("masks") / "run", *PHANTOMS, "task=segmentation")


@pytest.fixture
def copied(trained_masks: Path, tmp_path: Path) -> Path:
    """A copy of it without any evaluation."""
    return Path(shutil.copytree(trained_masks, tmp_path / "run"))


@pytest.fixture
def run_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Trains another tiny run: `run_of(folder, "key=value", ...)`."""
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    return finished


@pytest.fixture
def asked() -> Callable[..., EvaluateSettings]:
    """What is asked of an evaluation: `asked(run, split="val", ...)`."""
    return settings


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, str]]]:
    """Reads `images.csv`."""
    return read_rows
