"""The averaged weights against a plain loop, and that every number of a run is theirs."""

import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from tandem.callbacks import WeightAverage
from tandem.callbacks.weight_average import moving_average
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import read_settings
from tandem.factory import make_trainer
from tandem.train.run import train

WEIGHT = "network.encoder.model.block0.0.weight"


def composed(command: str, *overrides: str) -> dict[str, Any]:
    """What is typed, as plain containers."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose(command, list(overrides)))


def configuration(*overrides: str) -> dict[str, Any]:
    """A small run with averaged weights."""
    few = ["data.train=24", "data.val=12", "data.test=12", "trainer.enable_progress_bar=false", "logger=none"]
    return composed("train", "experiment=tiny", "callbacks=ema", *few, *overrides)


class Loop(pl.Callback):
    """The same average in float64, by the definition."""

    def __init__(self, decay: float) -> None:
        self.decay, self.steps, self.average = decay, 0, torch.zeros(())

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any) -> None:
        weight = pl_module.get_parameter(WEIGHT).detach().double()
        keep = 0.0 if self.steps == 0 else min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.average = keep * self.average + (1 - keep) * weight
        self.steps += 1


def state(path: Path) -> dict[str, Tensor]:
    """What a checkpoint holds of the network."""
    found: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


@pytest.mark.full
def test_the_checkpoint_holds_the_average_of_the_definition(tmp_path: Path) -> None:
    loop = Loop(0.4)
    train(configuration("callbacks.average.decay=0.4", "trainer.max_epochs=8"), tmp_path, [loop])
    assert loop.steps > 5, "the decay itself is reached, after its ramp"
    torch.testing.assert_close(state(tmp_path / "last.ckpt")[WEIGHT].double(), loop.average, rtol=0, atol=1e-6)


@pytest.mark.full
def test_no_decay_is_a_run_without_an_average(tmp_path: Path) -> None:
    plain, averaged = (
        train(configuration(*more), tmp_path / name)["metrics"]
        for name, more in (("plain", ["callbacks=default"]), ("averaged", ["callbacks.average.decay=0"]))
    )
    assert averaged == plain


@pytest.mark.full
def test_results_are_those_of_the_kept_network(tmp_path: Path) -> None:
    own = train(configuration("trainer.max_epochs=4"), tmp_path)
    for split in ("val", "test"):
        asked = read_settings(composed("evaluate", f"run={tmp_path}", f"split={split}", "page=false"))
        again = evaluate_run(asked)["metrics"]
        compared = {key: value for key, value in own["metrics"].items() if key in again and value is not None}
        assert len(compared) > 40
        assert again == {**again, **{key: pytest.approx(value, rel=1e-6) for key, value in compared.items()}}


@pytest.mark.full
def test_a_run_cut_and_gone_on_with_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    class Cut(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise KeyboardInterrupt

    settings = configuration("trainer.max_epochs=4")
    whole = train(settings, tmp_path / "whole")["metrics"]
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(settings, tmp_path / "cut", [Cut()])
    assert train(settings, tmp_path / "cut")["metrics"] == whole
    assert json.loads((tmp_path / "cut" / "results.json").read_text())["resumed"]


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match=r"must be at least 0 and less than 1"):
        WeightAverage(decay)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64])
def test_counters_are_moved_too(kind: torch.dtype) -> None:
    average, move = torch.tensor(10, dtype=kind), moving_average(0.9)
    move([average], [torch.tensor(20, dtype=kind)], 1000)
    assert average.item() == pytest.approx(11)


def test_it_stands_behind_the_other_callbacks(tmp_path: Path) -> None:
    trainer = make_trainer(configuration(), tmp_path, [Loop(0.5)])
    names = [type(callback).__name__ for callback in trainer.callbacks]  # type: ignore[attr-defined]
    assert names[-2:] == ["WeightAverage", "BestCheckpoint"]


def test_lightnings_own_is_refused(tmp_path: Path) -> None:
    settings = configuration("callbacks.average._target_=pytorch_lightning.callbacks.EMAWeightAveraging")
    with pytest.raises(
        ConfigError, match=r"^callbacks.average is Lightning's EMAWeightAveraging, .*; use callbacks=ema"
    ):
        make_trainer(settings, tmp_path)
