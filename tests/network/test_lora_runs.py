"""Adapters from training to the exported file: train, resume, evaluate, predict, load, export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.network.test_transformer_runs import Stop, configured

import tandem
from tandem.evaluate import main as evaluate
from tandem.export import export_run
from tandem.network.lora import adapted
from tandem.predict import main as predict
from tandem.runs.inference import Inference
from tandem.runs.restore import restore
from tandem.train.run import train

pytest.importorskip("peft")


@pytest.mark.full
def test_from_training_to_the_exported_file(
    tmp_path: Path, trees: Any, in_process: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    options = ["network=unet", "network.backbone=test_vit", "network.pyramid_channels=32", "data.size=32"]
    config = configured(*options, "network.lora.rank=4", "network.lora.dropout=0.1", "optimizer.lr=0.01")
    config["trainer"] = {**config["trainer"], "max_epochs": 2}
    folder, broken = tmp_path / "run", tmp_path / "broken"
    folder.mkdir()
    broken.mkdir()
    with caplog.at_level("INFO"):
        train(config, folder)
    assert "of them trained" in caplog.text
    assert "network.lora.rank=4 freezes random weights" in caplog.text
    with pytest.raises(RuntimeError, match="stopped here"):
        train(config, broken, [Stop()])
    train(config, broken)
    whole, resumed = (restore(place).module for place in (folder, broken))
    states = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert any(layer.lora_B.default.weight.abs().sum() > 0 for _, layer in adapted(whole))
    checkpoint = torch.load(folder / "best.ckpt", weights_only=True)
    assert checkpoint["state_dict"].keys() == states[0].keys()
    assert in_process(evaluate)(f"run={folder}", "samples=20", "page=false").code == 0
    images = trees.folders(tmp_path / "images", count=2)
    assert in_process(predict)(f"run={folder}", f"images={images}", f"out={tmp_path / 'out'}").code == 0
    assert tandem.load(folder) is not None
    file, difference = export_run(folder, "torch")
    assert difference < 1e-4
    program = torch.export.load(file).module()
    image = torch.randint(0, 256, (2, *_sides(config)), dtype=torch.uint8)
    with torch.no_grad():
        for found, expected in zip(program(image), Inference(whole)(image), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert not [name for name, _ in torch.export.load(file).state_dict.items() if "lora_A" in name]


def _sides(config: dict[str, Any]) -> tuple[int, int, int]:
    size = int(config["data"]["size"])
    return 1, size, size
