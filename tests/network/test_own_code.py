"""A decoder and a network from outside the package: one Python file and one yaml each, and the module's name."""

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tandem
from tandem.data.phantom import Phantom
from tandem.evaluate import main as evaluate_main
from tandem.export import export_run
from tandem.runs.restore import restore

MODULE = """
import torch
from torch import nn
from tandem.network import FeatureChannels, Features


class TopDown(nn.Module):
    def __init__(self, channels, strides, width=8):
        super().__init__()
        self.out_channels = width
        self.used = [level for level, count in enumerate(channels) if count and strides[level] in (4, 32)]
        self.mix = nn.ModuleList([nn.Conv2d(channels[level], width, 1) for level in self.used])

    def forward(self, levels):
        maps = [layer(levels[level]) for layer, level in zip(self.mix, self.used)]
        return maps[0] + nn.functional.interpolate(maps[1], maps[0].shape[-2:])


class Lying(TopDown):
    def __init__(self, channels, strides, width):
        super().__init__(channels, strides, width)
        self.out_channels = width + 1


class Plain(nn.Module):
    def __init__(self, channels, dense, width):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1))
        self.channels = FeatureChannels(deep=width, dense=width)
        self.begun = []

    def begin_epoch(self, epoch):
        self.begun.append(epoch)

    def forward(self, image):
        deep = self.encoder(2 * image - 1)
        size = (image.shape[-2], image.shape[-1])
        return Features(deep, deep, size, size)


class NoPromise(Plain):
    def __init__(self, channels, dense, width):
        super().__init__(channels, dense, width)
        self.channels = (width, width)


class Narrow(Plain):
    def __init__(self, channels):
        super().__init__(channels, True, 4)
"""

YAML = {
    "top_down": """
defaults:
  - shared/timm@_here_
  - _self_
backbone: small_cnn
decoder:
  _target_: own_parts.TopDown
  width: 12
""",
    "plain": "_target_: own_parts.Plain\nwidth: 8\n",
}

SHORT = [
    *("data.size=32", "data.train=12", "data.val=12", "data.test=12", "loader.batch_size=6", "trainer.max_epochs=1"),
    *("trainer.accelerator=cpu", "logger=none", "callbacks.panels=null", "callbacks.progress=null"),
]
Command = Callable[..., Any]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """The user's module on the path and allowed, and the flag that names the user's folder of configurations."""
    (tmp_path / "own_parts.py").write_text(MODULE, encoding="utf-8")
    folder = tmp_path / "my_conf" / "network"
    folder.mkdir(parents=True)
    for name, text in YAML.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TANDEM_ALLOW", "own_parts")
    return ["--config-dir", str(tmp_path / "my_conf")]


def results_of(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The one finished run's folder and what its `results.json` holds."""
    (file,) = tmp_path.rglob("results.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return file.parent, found


@pytest.mark.full
@pytest.mark.parametrize(("name", "part"), [("top_down", "network.decoder.mix"), ("plain", "network.encoder.0")])
def test_trained_restored_evaluated_exported(
    name: str,
    part: str,
    own: Sequence[str],
    tandem_train: Command,
    in_process: Callable[..., Command],
    tmp_path: Path,
) -> None:
    done = tandem_train(*SHORT, f"network={name}", "parameters.lr_factors={network.encoder: 0.1}", *own)
    assert done.code == 0, done.err
    folder, results = results_of(tmp_path)
    assert 0 <= results["metrics"]["test/segmentation/dice"] <= 1
    assert results["weights"] is None
    run = restore(folder)
    stored = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    assert [key for key in stored if key.startswith(f"{part}.")]
    assert all(torch.equal(value, stored[key]) for key, value in run.module.state_dict().items())
    (prediction,) = tandem.load(folder, device="cpu").predict(np.full((40, 50), 90, dtype=np.uint8))
    assert prediction["segmentation"].mask.shape == (1, 40, 50)
    assert sum(prediction["classification"].probabilities.values()) == pytest.approx(1, abs=1e-6)
    file, difference = export_run(folder, "torch")
    assert file.is_file()
    assert difference <= 1e-4
    evaluated = in_process(evaluate_main)(f"run={folder}", "samples=20", "page=false", "masks=false")
    assert evaluated.code == 0, evaluated.err
    assert list((folder / "evaluation").rglob("*.json"))


def test_a_network_is_told_of_each_epoch(
    own: Sequence[str], tandem_train: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    monkeypatch.setattr(
        importlib.import_module("own_parts").Plain, "begin_epoch", lambda self, epoch: begun.append(epoch)
    )
    done = tandem_train(*SHORT, "network=plain", "trainer.max_epochs=2", *own)
    assert done.code == 0, done.err
    assert begun == [0, 1]


TOP = "network=top_down"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([TOP, "network.decoder._target_=own_parts.Top"], "network.decoder: 'own_parts' has no 'Top': did you mean"),
        ([TOP, "+network.decoder.widht=3"], "unknown key 'network.decoder.widht': did you mean 'width'?"),
        (
            [TOP, "network.decoder._target_=own_parts.Lying"],
            "network.decoder (Lying): forward returns (1, 12, 64, 96)",
        ),
        ([TOP, "network.backbone=resnet18", "network.depth=3"], "network.decoder (TopDown): forward fails in a trial"),
        (["network.decoder={_target_: own_parts.TopDown}"], "network.decoder_options (decoder_channels) are for"),
        (["network=plain", "network._target_=torch.nn.Flatten"], "network: _target_ 'torch.nn.Flatten' is not allowed"),
        (
            ["network=plain", "network._target_=own_parts.NoPromise"],
            "network (NoPromise): channels is (8, 8); set it to a tandem.network.FeatureChannels(",
        ),
        (
            ["network=plain", "network._target_=own_parts.Narrow", "~network.width"],
            "network: 'own_parts.Narrow' must take the argument 'dense', which tandem fills in",
        ),
        (["network=plain", "network.width=-1"], "network (Plain): RuntimeError: Trying to create tensor with negative"),
    ],
)
def test_a_bad_one_is_refused_before_data_are_read(
    words: list[str],
    message: str,
    own: Sequence[str],
    tandem_train: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Phantom] = []
    monkeypatch.setattr(Phantom, "load", read.append)
    done = tandem_train(*SHORT, *words, *own)
    assert not read
    assert done.code == 1
    assert done.error.startswith(message)


def test_a_module_that_is_not_allowed_is_refused(
    own: Sequence[str], tandem_train: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_ALLOW", "another")
    done = tandem_train(*SHORT, TOP, *own)
    assert done.error.startswith("network.decoder: _target_ 'own_parts.TopDown' is not allowed; ")
