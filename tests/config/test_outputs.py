"""Where callbacks and trackers may write, and where not."""

from pathlib import Path
from typing import Any

import pytest

from tandem.config.outputs import check_outputs
from tandem.errors import ConfigError

METRICS, CHECKPOINT = "tandem.callbacks.MetricsCSV", "pytorch_lightning.callbacks.ModelCheckpoint"
CSV, TENSORBOARD, MLFLOW = (
    "pytorch_lightning.loggers.CSVLogger",
    "pytorch_lightning.loggers.TensorBoardLogger",
    "tandem.trackers.MLflow",
)

OUTSIDE: list[tuple[str, dict[str, Any]]] = [
    (METRICS, {"path": "/elsewhere/a.csv"}),
    (METRICS, {"path": "a.csv"}),
    (METRICS, {"path": "runs/other/a.csv"}),
    (METRICS, {"path": "{run}/../a.csv"}),
    (METRICS, {"path": "{run}x/a.csv"}),
    (METRICS, {"path": "~/a.csv"}),
    (METRICS, {"path": "{run}/link/a.csv"}),
    (CHECKPOINT, {"dirpath": "memory://x"}),
    (CHECKPOINT, {"dirpath": "{run}", "filename": "../../evil"}),
    (CHECKPOINT, {"dirpath": "{run}", "filename": "/evil"}),
    (CSV, {"save_dir": "{run}", "name": "../.."}),
    (CSV, {"save_dir": "{run}", "version": "../../x"}),
    (TENSORBOARD, {"save_dir": "{run}", "sub_dir": "/x"}),
    (MLFLOW, {"tracking_uri": "sqlite:////x/mlflow.db"}),
    (MLFLOW, {"tracking_uri": "sqlite:///../mlflow.db"}),
    (MLFLOW, {"tracking_uri": "sqlite+pysqlite:////x/mlflow.db"}),
    (MLFLOW, {"tracking_uri": "file:///x"}),
    (MLFLOW, {"tracking_uri": "file:x"}),
    ("tandem.trackers.Wandb", {"folder": "{run}", "settings": {"root_dir": "x"}}),
    ("tandem.trackers.Wandb", {"folder": "{run}", "settings": {"files": ["/x"]}}),
]

INSIDE: list[tuple[str, dict[str, Any]]] = [
    (METRICS, {"path": "{run}/metrics.csv"}),
    (CHECKPOINT, {"dirpath": "{run}/more", "filename": "{epoch}-{step}"}),
    (MLFLOW, {"tracking_uri": "sqlite:///runs/mlflow.db", "folder": "{run}"}),
    (MLFLOW, {"tracking_uri": "https://server:5000/path", "folder": "{run}"}),
    ("tandem.trackers.Trackio", {"root": "runs/trackio", "name": "a/b", "folder": "{run}"}),
    ("tandem.callbacks.Progress", {"show": ["val/segmentation/dice"]}),
    ("mine.Atlas", {"path": "/data/atlas.nii"}),
]


def placed(arguments: Any, folder: Path) -> Any:
    if isinstance(arguments, dict):
        return {key: placed(value, folder) for key, value in arguments.items()}
    return arguments.replace("{run}", str(folder)) if isinstance(arguments, str) else arguments


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "a" / "b"
    run.mkdir(parents=True)
    (run / "link").symlink_to(tmp_path)
    return run


@pytest.mark.parametrize(("target", "arguments"), OUTSIDE, ids=lambda value: str(value))
def test_a_path_that_leads_out_is_refused(target: str, arguments: dict[str, Any], folder: Path) -> None:
    node = {"_target_": target, **placed(arguments, folder)}
    with pytest.raises(ConfigError, match=r"^logger\.x\.\S+ is .* which lies outside the run's folder") as caught:
        check_outputs({"x": node}, "logger", folder, folder.parents[1] if "loggers" in target else folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("target", "arguments"), INSIDE, ids=lambda value: str(value))
def test_a_path_inside_is_admitted(target: str, arguments: dict[str, Any], folder: Path) -> None:
    node = {"_target_": target, **placed(arguments, folder)}
    check_outputs({"x": node}, "logger", folder, Path("runs"))
