"""A vision transformer from training to the exported file: train, resume, evaluate, predict, export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.evaluate import main as evaluate
from tandem.export import export_run
from tandem.predict import main as predict
from tandem.runs.restore import restore
from tandem.train.run import train

SMALL = ["experiment=tiny", "data.train=12", "data.val=12", "data.test=12", "data.seed=3", "logger=none"]
SMALL += ["callbacks.panels=null", "trainer.enable_progress_bar=false"]


def configured(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return dict(resolve(compose("train", overrides=[*SMALL, *overrides])))


class Stop(pl.Callback):
    """Ends training in the second epoch."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("stopped here")


@pytest.mark.full
@pytest.mark.parametrize(
    "overrides",
    [
        ["network=unet", "data.size=64"],
        ["network=fpn", "data.size=96"],
        ["network=dpt", "data.size=64"],
        ["network=dpt", "data.size=96"],
    ],
    ids=" ".join,
)
def test_from_training_to_the_exported_file(
    overrides: list[str], tmp_path: Path, trees: Any, in_process: Callable[..., Any]
) -> None:
    config = configured("network.backbone=vit_tiny_patch16_224", "network.pyramid_channels=32", *overrides)
    config["trainer"] = {**config["trainer"], "max_epochs": 2}
    folder, broken = tmp_path / "run", tmp_path / "broken"
    folder.mkdir()
    broken.mkdir()
    train(config, folder)
    with pytest.raises(RuntimeError, match="stopped here"):
        train(config, broken, [Stop()])
    train(config, broken)
    whole, resumed = (restore(place).module.state_dict() for place in (folder, broken))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert in_process(evaluate)(f"run={folder}", "samples=50", "page=false").code == 0
    images = trees.folders(tmp_path / "images", count=2)
    assert in_process(predict)(f"run={folder}", f"images={images}", f"out={tmp_path / 'out'}").code == 0
    file, difference = export_run(folder)
    assert file.is_file()
    assert difference < 1e-4


@pytest.mark.full
@pytest.mark.parametrize("network", ["pspnet", "upernet"])
def test_pooled_maps_are_exported(network: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    train(configured(f"network={network}", "data.size=64"), folder)
    assert export_run(folder)[1] < 1e-4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["network=pan", "network.backbone=test_resnet", "data.size=64"], "the next data.size that works is 128"),
        (["network=pan", "network.backbone=test_vit", "data.size=64"], "images of 64 x 64"),
        (["network=fpn", "network.backbone=convnext_atto", "network.depth=4"], "set network.depth=5"),
        (["network=dpt", "network.backbone=test_resnet"], "reads the tokens of a plain vision transformer"),
        (["network.backbone=test_vit", "data.size=50"], "set data.size=48 or 64"),
    ],
)
def test_refused_before_data_are_read(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.runs.provenance.read_data", lambda *_: pytest.fail("read the data"))
    with pytest.raises(ConfigError, match=message) as error:
        train(configured(*overrides), tmp_path)
    assert "\n" not in str(error.value)
