"""Restores a module from a run's folder, without the data."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError, DataError
from tandem.runs.restore import read_info, restore
from tandem.train.run import train

SMALL = ["experiment=tiny", "data.train=12", "data.val=12", "data.test=12", "data.seed=3", "logger=none"]
SMALL += ["callbacks.panels=null", "trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides=SMALL)
    folder.mkdir()
    train(resolve(config), folder)
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed, without the digests of its files."""
    folder = Path(shutil.copytree(trained, tmp_path / "copy"))
    (folder / "artifacts.json").unlink()
    return folder


def test_weights_and_thresholds_are_those_of_the_best_checkpoint(trained: Path) -> None:
    run = restore(trained)
    state = torch.load(trained / "best.ckpt", weights_only=True)["state_dict"]
    assert not run.module.training
    for name, value in run.module.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert run.info.classes == ("normal", "benign", "malignant")
    assert run.results["thresholds"]["segmentation"] == pytest.approx(
        run.module.tasks["segmentation"].threshold.tolist()
    )


def test_pretrained_weights_are_not_needed(copied: Path) -> None:
    results = json.loads((copied / "results.json").read_text())
    results["config"]["network"] |= {"weights": "gone.pth"}
    (copied / "results.json").write_text(json.dumps(results))
    restore(copied)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def other_network(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    results["config"]["network"]["backbone"] = "test_resnet"
    (folder / "results.json").write_text(json.dumps(results))


def older_settings(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    del results["config"]["parameters"]
    (folder / "results.json").write_text(json.dumps(results))


def other_version(folder: Path) -> None:
    (folder / "data.json").write_text(json.dumps({"info": {"name": "a", "colours": 3}}))


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (remove("results.json"), ConfigError, "has not finished.*to resume it"),
        (remove("best.ckpt"), ConfigError, "best.ckpt is missing.*train it again"),
        (remove("data.json"), DataError, "data.json does not describe"),
        (other_version, DataError, "another version"),
        (older_settings, DataError, "lacks 'parameters': another version"),
        (other_network, DataError, "best.ckpt does not fit the network"),
        (shutil.rmtree, ConfigError, "no such folder"),
    ],
)
def test_missing_or_mixed_up_files_are_reported_in_one_line(
    copied: Path, damage: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    damage(copied)
    with pytest.raises(error, match=message) as caught:
        restore(copied)
    assert "\n" not in str(caught.value)


def test_the_error_for_a_folder_of_runs_names_one(trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"contains runs, such as .*run"):
        restore(trained.parent)


def test_the_description_of_the_data_is_restored(trained: Path) -> None:
    assert (read_info(trained).name, read_info(trained).channels) == ("phantom", 1)
