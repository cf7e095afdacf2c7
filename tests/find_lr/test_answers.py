"""An earlier search answers for the data that it has seen, and for no others."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.factory import make_data
from tandem.find_lr.command import answers
from tandem.utils.files import write_json


def test_the_data_are_compared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for number in range(24):
        path = tmp_path / "d" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16)).astype("u1")).save(path)
    register("find_lr")
    asked = [
        "data=folder",
        f"data.root={tmp_path}/d",
        "data.size=16",
        f"data.cache={tmp_path}/cache",
        "data.masks=null",
    ]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("find_lr", overrides=[*asked, "task=classification"]))
    register()
    data = make_data(config)
    data.setup()
    write_json(tmp_path / "find_lr.json", {"suggestion": 0.1, "data": data.fingerprint()})
    assert answers(config, tmp_path)
    assert not caplog.records
    (tmp_path / "d" / "a" / "0.png").write_bytes((tmp_path / "d" / "b" / "1.png").read_bytes())
    assert not answers(config, tmp_path)
    assert "the data have changed since the search" in caplog.text
    (tmp_path / "d").rename(tmp_path / "away")
    assert answers(config, tmp_path)
    assert "data not checked (" in caplog.text
    write_json(tmp_path / "find_lr.json", {"suggestion": 0.1})
    assert answers(config, tmp_path)
    assert "does not say of which data it is" in caplog.text
