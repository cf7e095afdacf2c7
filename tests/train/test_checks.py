"""Settings, data and networks that cannot be trained or judged are refused in one line, before training."""

import dataclasses
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.phantom import Phantom
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.factory import make_data, make_module, make_trainer
from tandem.train.checks.answers import validated_values
from tandem.train.checks.fit import check_fit
from tandem.train.checks.rules import share_or_count
from tandem.train.run import check_config

TINY = [
    "experiment=tiny",
    "data.train=24",
    "data.val=12",
    "data.test=12",
    "data.seed=3",
    "loader.batch_size=4",
    "trainer.enable_progress_bar=false",
    "callbacks.panels=null",
    "logger=none",
]


def configuration(*overrides: str) -> dict[str, Any]:
    """A resolved tiny configuration."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", [*TINY, *overrides]))


WRONG = [
    ("trainer.max_epochs=0", "trainer.max_epochs is 0, but must be a whole number of at least 1"),
    ("trainer.max_epochs=1.5", "trainer.max_epochs is 1.5, but must be a whole number"),
    ("trainer.max_epochs=true", "trainer.max_epochs is True, but"),
    ("trainer.max_epochs=-1", "trainer.max_epochs is -1, so training would never end"),
    ("trainer.max_epochs=null", "trainer.max_epochs is None, so training would never end"),
    ("+trainer.max_steps=0", "trainer.max_steps is 0"),
    ("+trainer.max_steps=2.5", "trainer.max_steps is 2.5"),
    ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches is 0"),
    ("trainer.accumulate_grad_batches=1.5", "trainer.accumulate_grad_batches is 1.5"),
    ("trainer.gradient_clip_val=nan", "trainer.gradient_clip_val is nan, but must be null or a number"),
    ("trainer.gradient_clip_val=inf", "trainer.gradient_clip_val is inf"),
    ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val is -1"),
    ("+trainer.gradient_clip_algorithm=abs", "trainer.gradient_clip_algorithm is 'abs', but must be norm or value"),
    ("trainer.num_sanity_val_steps=-3", "trainer.num_sanity_val_steps is -3"),
    ("trainer.log_every_n_steps=0", "trainer.log_every_n_steps is 0"),
    ("+trainer.val_check_interval=3", "trainer.val_check_interval is 3, but must be absent"),
    ("+trainer.val_check_interval=0.5", "trainer.val_check_interval is 0.5, but must be absent"),
    ("+trainer.val_check_interval=1", "trainer.val_check_interval is 1, but must be absent"),  # each batch
    ("+trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch is 0"),
    ("+trainer.check_val_every_n_epoch=null", "trainer.check_val_every_n_epoch is None"),
    ("+trainer.check_val_every_n_epoch=99", "trainer.check_val_every_n_epoch is 99, more than trainer.max_epochs="),
    ("+trainer.min_epochs=99", "trainer.min_epochs is 99, more than trainer.max_epochs="),
    ("+trainer.limit_val_batches=0", "trainer.limit_val_batches is 0"),
    ("+trainer.limit_val_batches=0.0", "trainer.limit_val_batches is 0.0"),
    ("+trainer.limit_train_batches=0", "trainer.limit_train_batches is 0"),
    ("+trainer.limit_train_batches=-2", "trainer.limit_train_batches is -2"),
    ("+trainer.limit_test_batches=1.5", "trainer.limit_test_batches is 1.5"),
    ("+trainer.limit_test_batches=0", "trainer.limit_test_batches is 0"),
    ("+trainer.overfit_batches=2", "trainer.overfit_batches is 2"),
    ("+trainer.barebones=true", "trainer.barebones is True"),
    ("+trainer.enable_checkpointing=false", "trainer.enable_checkpointing is False"),
    ("callbacks=early_stopping callbacks.early_stopping.patience=-1", "callbacks.early_stopping.patience is -1"),
    ("callbacks=early_stopping callbacks.early_stopping.monitor=test/loss", "test data must not steer training"),
    ("callbacks=early_stopping callbacks.early_stopping.mode=most", "callbacks.early_stopping.mode is 'most'"),
    (
        "callbacks=early_stopping callbacks.early_stopping.mode=min",
        "contradicts the direction of val/segmentation/dice",
    ),
    (
        "callbacks=early_stopping callbacks.early_stopping.monitor=val/loss callbacks.early_stopping.mode=max",
        "callbacks.early_stopping.mode is max, which contradicts the direction of val/loss",
    ),
    (
        "callbacks.best.monitor=val/loss",
        "callbacks.best chooses by val/loss (max), but the run by val/segmentation/dice",
    ),
    ("callbacks.best.mode=min", "callbacks.best chooses by val/segmentation/dice (min)"),
    ("optimizer.lr=-1", "optimizer.lr is -1, but must be a number of at least 0"),
    ("optimizer.lr=nan", "optimizer.lr is nan"),
    ("optimizer.lr=abc", "optimizer.lr is 'abc'"),
    ("optimizer.weight_decay=-1", "optimizer.weight_decay is -1"),
    ("balance.weights.segmentation=abc", "balance.weights.segmentation is 'abc', but must be a number of at least 0"),
    ("balance.weights.segmentation=null", "balance.weights.segmentation is None"),
    ("balance.weights.segmentation=nan", "balance.weights.segmentation is nan"),
    ("loader.batch_size=0", "loader.batch_size is 0"),
    ("loader.workers=-1", "loader.workers is -1"),
    ("loader.workers=100000", "loader.workers is 100000, but this machine has"),
    ("+optimizer._args_=abc", "optimizer._args_ is 'abc', but must be a list"),
    ("runs=''", "runs is empty, so runs would go to the root of the disk"),
    ("monitor=val/segmentatoin/dice mode=max", "there is no task 'segmentatoin'"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[words for words, _ in WRONG])
def test_wrong_settings_are_refused_with_their_key(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_config(configuration(*words.split(" ")))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        "trainer.max_epochs=-1 +trainer.max_steps=5",
        "trainer.max_epochs=null +trainer.max_time=00:00:01:00",
        "trainer.gradient_clip_val=0.5 trainer.num_sanity_val_steps=-1",
        "+trainer.val_check_interval=1.0 +trainer.check_val_every_n_epoch=1",
        "+trainer.limit_train_batches=1 +trainer.limit_val_batches=0.5 +trainer.limit_test_batches=2",
        "callbacks=early_stopping callbacks.early_stopping.monitor=val/loss callbacks.early_stopping.mode=min",
        "optimizer=sgd optimizer.lr=0",
        "balance.weights.segmentation=0",
    ],
)
def test_right_settings_pass(words: str) -> None:
    check_config(configuration(*words.split(" ")))


def test_an_accelerator_that_is_absent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("gpu", "cuda", "mps"):
        with pytest.raises(ConfigError, match=f"trainer.accelerator is {name}, but torch finds none"):
            check_config(configuration(f"trainer.accelerator={name}"))


def test_runs_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for runs in ("file", "file/deeper"):
        with pytest.raises(ConfigError, match="is a file; name a folder"):
            check_config(configuration(f"runs={tmp_path / runs}"))


@pytest.mark.parametrize(
    ("value", "right"), [(1, True), (7, True), (0.2, True), (1.0, True), (0, False), (1.01, False), (math.nan, False)]
)
def test_limits_are_counts_or_shares(value: float, right: bool) -> None:
    assert share_or_count(value) == right


# ------------------------------------------------------------------------------------------------- with parts and data


def check(*overrides: str) -> None:
    """Everything that is checked before the first step."""
    config = configuration(*overrides)
    check_config(config)
    data = make_data(config)
    module = make_module(config, data.info)
    trainer = make_trainer(config, Path("unused"))
    data.setup()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    drawn = torch.get_rng_state()
    check_fit(config, trainer, module, data)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def changed(monkeypatch: pytest.MonkeyPatch, **splits: Mapping[str, Any]) -> None:
    """Lets the phantom lose targets: fields of the samples by split."""
    load = Phantom.load

    def changed_load(self: Phantom) -> dict[str, Samples]:
        return {name: dataclasses.replace(one, **splits.get(name, {})) for name, one in load(self).items()}

    monkeypatch.setattr(Phantom, "load", changed_load)


def test_a_healthy_run_passes_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tandem")
    check()
    check("callbacks=early_stopping", "callbacks.early_stopping.monitor=val/classification/balanced_accuracy")
    check(
        "callbacks=early_stopping", "callbacks.early_stopping.monitor=train/loss", "callbacks.early_stopping.mode=min"
    )
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "monitor=val/segmentation/dcie mode=max",
            "monitor is 'val/segmentation/dcie', which nothing logs: did you mean",
        ),
        ("monitor=val/lss mode=min", "monitor is 'val/lss', which nothing logs: did you mean 'val/loss'"),
        (
            "callbacks=early_stopping callbacks.early_stopping.monitor=val/segmentation/dcie",
            "callbacks.early_stopping.monitor is 'val/segmentation/dcie', which nothing logs: did you mean",
        ),
        (
            "callbacks=early_stopping callbacks.early_stopping.monitor=train/lss callbacks.early_stopping.mode=min",
            "callbacks.early_stopping.monitor is 'train/lss', which nothing logs: did you mean 'train/loss'",
        ),
    ],
)
def test_a_name_that_nothing_logs_is_found_before_training(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(*words.split(" "))
    assert message in str(refused.value)


@pytest.mark.parametrize("metric", ["dice", "iou", "dice_lesion", "recall", "precision"])
def test_validation_without_any_lesion_cannot_choose_by_what_needs_lesions(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, val={"masks": torch.zeros(12, 1, 32, 32, dtype=torch.uint8)})
    with pytest.raises(DataError, match=rf"val/segmentation/{metric} is not defined .*never shows: foreground"):
        check("data.size=32", f"monitor=val/segmentation/{metric}", "mode=max")


@pytest.mark.parametrize("monitor", ["val/segmentation/loss", "val/segmentation/specificity_empty", "val/loss"])
def test_validation_without_any_lesion_can_choose_by_what_needs_none(
    monitor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, val={"masks": torch.zeros(12, 1, 32, 32, dtype=torch.uint8)})
    check("data.size=32", f"monitor={monitor}", f"mode={'min' if 'loss' in monitor else 'max'}")


def test_the_few_rows_that_are_answered_show_every_answer_of_the_split() -> None:
    config = configuration()
    data = make_data(config)
    data.setup()
    module, trainer = make_module(config, data.info), make_trainer(config, Path("unused"))
    values, perfect = validated_values(trainer, module, data.splits["val"], "segmentation")
    assert perfect
    assert values["val/segmentation/dice"] == values["val/segmentation/iou"] == 1
    values, perfect = validated_values(trainer, module, data.splits["val"], "classification")
    assert perfect
    assert values["val/classification/balanced_accuracy"] == 1


def test_targets_that_are_missing_from_a_split_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = {"labels": torch.full((12,), -100)}
    changed(monkeypatch, val=unknown, test=unknown)
    check("monitor=val/segmentation/dice", "mode=max")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.split(",")[0] for line in said] == [
        "no image of the split 'val' has a target for task 'classification'",
        "no image of the split 'test' has a target for task 'classification'",
    ]
    with pytest.raises(DataError, match="the split 'val' has a target for task 'classification', but val/"):
        check("monitor=val/classification/balanced_accuracy", "mode=max")


def test_a_task_without_any_training_target_is_refused() -> None:
    with pytest.raises(DataError, match="no image of the split 'train' has a target for task 'segmentation'"):
        check("data.without_mask=1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "network=unet network.backbone=resnet18 data.size=32 loader.batch_size=1",
            r"batch of 1 images of 32 x 32 .*batch normalisation needs more than one value.*loader.batch_size",
        ),
        ("network=pan network.backbone=resnet18 data.size=32", r"batch of 2 images of 32 x 32 .*raise data.size"),
    ],
)
def test_a_network_that_cannot_process_a_batch_is_refused(words: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(*words.split(" "))


def test_one_class_is_no_classification() -> None:
    config = configuration("task=classification")
    one = dataclasses.replace(make_data(config).info, classes=("lesion",))
    with pytest.raises(ConfigError, match=r"task 'classification' has one class \(lesion\), .*data.classes"):
        make_module(config, one)


def test_no_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="task is empty; choose task="):
        check_config({**configuration(), "tasks": {}, "monitor": "val/loss", "mode": "min"})
