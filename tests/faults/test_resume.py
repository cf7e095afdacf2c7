"""A killed run whose command is given again ends as an unbroken one, to the last bit: a short form of `make faults`."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.faults.setups import PHANTOM, again, draw, killed, left, run

from tandem.callbacks.resume import KEY
from tandem.utils.files import read_json

STATED = (
    [*PHANTOM, "loader.workers=2"],
    [*PHANTOM, "trainer.precision=64-true", "callbacks=ema", "checkpoint.every_n_steps=1"],
    [*PHANTOM, "scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.1", "+trainer.max_steps=7"],
    draw(7),
)
"""Set-ups that once failed, and a drawn one."""


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name, marks=pytest.mark.full if name in ("float64", "plateau", "drawn") else ())
        for words, name in zip(STATED, ["workers", "float64", "plateau", "drawn"], strict=True)
    ],
)
def test_a_killed_run_ends_as_one_that_was_not(words: list[str], tmp_path: Path) -> None:
    moments = run(words, tmp_path / "whole").moments
    # in the second half: a checkpoint is there, so that the run is resumed, and not trained anew
    moment = int(np.random.default_rng(len(words)).integers(moments // 2, moments))
    assert killed(words, tmp_path / "killed", moment)
    assert (tmp_path / "killed" / "last.ckpt").exists()
    again(words, tmp_path / "killed")
    assert left(tmp_path / "killed").differs(left(tmp_path / "whole")) == []


@pytest.mark.full
def test_a_run_killed_after_its_early_stop_does_not_train_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = [*PHANTOM, "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "trainer.max_epochs=6"]
    words += ["+callbacks.early_stopping.min_delta=10"]
    moments = run(words, tmp_path / "whole").moments
    assert left(tmp_path / "whole").results["epochs"] == 2
    assert killed(words, tmp_path / "killed", moments - 4)  # after the stop: while the best epoch is evaluated
    before = torch.load(tmp_path / "killed" / "last.ckpt", weights_only=True)[KEY]["seconds"]
    caplog.set_level(logging.INFO, "tandem")
    again(words, tmp_path / "killed")
    assert left(tmp_path / "killed").differs(left(tmp_path / "whole")) == []
    assert read_json(tmp_path / "killed" / "results.json")["seconds"] > before > 0
    assert " over 2 starts; best epoch 1 of 2" in caplog.text
