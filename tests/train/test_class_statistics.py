"""What follows from the training split: computed once, logged, saved, and in the checkpoint."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from sklearn.utils.class_weight import compute_class_weight

from tandem.callbacks import BestCheckpoint
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.factory import make_data, make_module
from tandem.runs.restore import restore
from tandem.train.class_statistics import prepare
from tandem.train.run import train
from tandem.utils.artifacts import COMPUTED

TINY = [
    "experiment=tiny",
    "augment=light",
    "data.train=24",
    "data.val=12",
    "data.test=12",
    "data.seed=3",
    "trainer.max_epochs=2",
    "trainer.enable_progress_bar=false",
    "callbacks.panels=null",
    "logger=none",
]

ASKING = [
    "loader.sampling=balanced",
    "tasks.classification.loss.weight=balanced",
    "tasks.classification.prior_bias=true",
    "loss/binary@tasks.segmentation.loss=dice_bce",
    "loss/binary@tasks.segmentation.loss.terms.bce=balanced_bce",
    "tasks.segmentation.prior_bias=true",
    "tasks.segmentation.dropout=0.2",
    "penalties=[l1,l2]",
    "parameters.lr_factors={network.encoder: 0.1}",
    "network.dropout=0.1",
]


def configured(*overrides: str) -> dict[str, Any]:
    """A resolved tiny configuration."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", [*TINY, *overrides]))


def read(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run that asks for everything."""
    folder = tmp_path_factory.mktemp("finished")
    train(configured(*ASKING), folder)
    return folder


def expected() -> dict[str, float]:
    """What is to be computed, from the training split alone, by other means."""
    data = make_data(configured())
    data.setup()
    labels, masks = data.splits["train"].labels.numpy(), data.splits["train"].masks.numpy()
    classes = data.info.classes
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    shares = np.bincount(labels, minlength=3) / len(labels)
    pi = float((masks == 1).mean())
    return {
        **{f"loader.visits.{name}": 8 for name in classes},
        **{f"tasks.classification.loss.weight.{n}": float(w) for n, w in zip(classes, weights, strict=True)},
        **{f"tasks.classification.prior.{n}": float(share) for n, share in zip(classes, shares, strict=True)},
        **{f"tasks.classification.bias.{n}": float(np.log(share)) for n, share in zip(classes, shares, strict=True)},
        "tasks.segmentation.loss.terms.bce.beta": 1 - pi,
        "tasks.segmentation.prior": pi,
        "tasks.segmentation.bias": -float(np.log((1 - pi) / pi)),
    }


def test_it_is_kept_with_the_run(finished: Path) -> None:
    assert read(finished)["computed"] == pytest.approx(expected(), rel=1e-6)
    assert json.loads((finished / COMPUTED).read_text()) == read(finished)["computed"]


def test_it_is_logged_and_saved_before_the_first_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = configured(*ASKING)
    data = make_data(config)
    module = make_module(config, data.info)
    data.setup()
    with caplog.at_level(logging.INFO, "tandem"):
        found = prepare(module, data, tmp_path)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "tandem.train.class_statistics"]
    assert line.startswith("computed from the training split: loader.visits.normal 8, ")
    assert all(name in line for name in expected())
    assert json.loads((tmp_path / COMPUTED).read_text()) == found


def test_only_the_training_split_is_looked_at(tmp_path: Path) -> None:
    config = configured(*ASKING)
    data = make_data(config)
    data.setup()
    for split in ("val", "test"):
        data.splits[split].labels.fill_(-100)
        data.splits[split].masks.fill_(255)
    assert prepare(make_module(config, data.info), data, tmp_path) == pytest.approx(expected(), rel=1e-6)


def test_where_nothing_asks_there_is_no_file(tmp_path: Path) -> None:
    config = configured()
    data = make_data(config)
    data.setup()
    assert prepare(make_module(config, data.info), data, tmp_path) == {}
    assert not (tmp_path / COMPUTED).exists()


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_a_run_read_back_without_its_data_has_the_same_loss(finished: Path) -> None:
    module = restore(finished).module
    data = make_data(configured())
    data.setup()
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
    (found,) = trainer.validate(module, data.val_dataloader(), verbose=False)
    for key in ("val/loss", "val/classification/loss", "val/segmentation/loss/bce"):
        assert found[key] == pytest.approx(read(finished)["metrics"][key], rel=1e-5)


@pytest.mark.full
def test_a_resumed_run_ends_like_an_unbroken_one(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutError(Exception):
        pass

    saved = BestCheckpoint.on_train_epoch_end

    def cut(self: Any, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        saved(self, trainer, module)
        if trainer.current_epoch == 0:
            raise CutError

    monkeypatch.setattr(BestCheckpoint, "on_train_epoch_end", cut)
    with pytest.raises(CutError):
        train(configured(*ASKING), tmp_path)
    assert (tmp_path / "last.ckpt").exists()
    monkeypatch.undo()
    train(configured(*ASKING), tmp_path)
    assert read(tmp_path)["resumed"]
    for key in ("computed", "metrics"):
        assert read(tmp_path)[key] == read(finished)[key]
    assert (tmp_path / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()


def test_penalties_are_logged_each_epoch(finished: Path) -> None:
    header, *rows = (line.split(",") for line in (finished / "metrics.csv").read_text().splitlines())
    for name in ("l1", "l2"):
        column = header.index(f"train/penalty/{name}")
        assert all(float(row[column]) > 0 for row in rows)
    assert all(float(row[header.index("lr")]) == pytest.approx(1e-4) for row in rows)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loader.sampling=balancd"], "did you mean 'balanced'"),
        (["loader.sampling=[1,2]"], "has 2 weights for 3 classes"),
        (["tasks.classification.loss.weight=balance"], "weight is 'balance', but must be balanced or a list or null"),
        (
            ["loss/binary@tasks.segmentation.loss=balanced_bce", "tasks.segmentation.loss.beta=auot"],
            "beta is 'auot', but must be auto or a number",
        ),
        (["tasks.segmentation.prior_bias=yes"], "must be true or false or a number"),
        (["tasks.segmentation.prior_bias=2"], r"prior_bias is 2, but must be true, false or the share"),
        (["tasks.segmentation.dropout=1"], "dropout is 1, but must lie in"),
        (["network.drop_path=0.1"], "backbone 'small_cnn' has no stochastic depth"),
        (["network.dropout=1.5"], r"dropout is 1\.5, but must lie in"),
        (["parameters.lr_factors={network.encodr: 1}"], "did you mean 'network.encoder'"),
        (["parameters.lr_factors={network: {encoder: 0}}"], "network.encoder is 0, but must be a number above"),
        (["parameters.lr_factors=0.1"], "must map parts to factors"),
        (["penalties=l2", "penalties.l2.parameters=[network.dcoder]"], "did you mean 'network.decoder'"),
        (["penalties=l2", "penalties.l2.weight=-1"], r"penalties\.l2\.weight = -1 is outside"),
    ],
)  # fmt: skip
def test_typical_mistakes_are_refused_in_one_line(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        train(configured(*overrides), tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.fixture
def module() -> Callable[..., Any]:
    """Makes a module; the same seed, the same weights."""

    def made(*overrides: str) -> Any:
        torch.manual_seed(0)
        config = configured(*overrides)
        return make_module(config, make_data(config).info)

    return made


def test_settings_reach_the_optimiser(module: Callable[..., Any]) -> None:
    groups = module("optimizer.weight_decay=0.3").configure_optimizers().param_groups
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    everything = module("optimizer.weight_decay=0.3", "parameters.decay_all=true").configure_optimizers().param_groups
    assert [group["weight_decay"] for group in everything] == [0.3]
    made = module("parameters.lr_factors={network.encoder: 0.5, tasks: 2}", "optimizer.lr=0.1").configure_optimizers()
    assert {group["lr"] for group in made.param_groups} == {0.1, 0.05, 0.2}
