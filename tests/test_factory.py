"""From a whole configuration to the objects of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from pytorch_lightning.loggers import TensorBoardLogger

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.factory import make_data, make_module, make_trainer
from tandem.network import Network

Configure = Callable[..., dict[str, Any]]
SMALL = ["experiment=tiny", "data.train=12", "data.val=12", "data.test=12", "data.seed=3"]


@pytest.fixture
def configured() -> Configure:
    """A resolved tiny configuration."""
    register()

    def make(*overrides: str) -> dict[str, Any]:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            return resolve(compose("train", overrides=[*SMALL, *overrides]))

    return make


# ----------------------------------------------------------------------------------------------------------------- data


def test_the_data_module_follows_the_configuration(configured: Configure) -> None:
    data = make_data(configured("loader.batch_size=5", "loader.workers=1", "seed=9", "augment=light"))
    assert (data.batch_size, data.workers, data.seed) == (5, 1, 9)
    assert data.augment is not None
    assert data.info.classes == ("normal", "benign", "malignant")
    assert data.splits == {}


@pytest.mark.parametrize("empty", [{}, None])
def test_an_empty_option_means_no_augmentation(configured: Configure, empty: Any) -> None:
    assert make_data({**configured(), "augment": empty}).augment is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", 0, r"^loader\.batch_size is 0, but must be a whole number of at least 1$"),
        ("batch_size", -4, r"^loader\.batch_size is -4"),
        ("workers", -1, r"^loader\.workers is -1, but must be a whole number of at least 0$"),
    ],
)
def test_loader_settings_out_of_range(configured: Configure, key: str, value: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_data(configured(f"loader.{key}={value}"))


# --------------------------------------------------------------------------------------------------------------- module


def test_both_tasks_share_one_network(configured: Configure) -> None:
    config = configured()
    module = make_module(config, make_data(config).info)
    assert list(module.tasks) == ["classification", "segmentation"]
    logits = module(torch.rand(2, 1, 32, 32))
    assert logits["classification"].shape == (2, 3)
    assert logits["segmentation"].shape == (2, 1, 32, 32)


@pytest.mark.parametrize(("task", "decoder"), [("classification", False), ("segmentation", True)])
def test_one_task_alone_builds_a_decoder_only_where_it_needs_one(
    configured: Configure, task: str, decoder: bool
) -> None:
    config = configured(f"task={task}")
    module = make_module(config, make_data(config).info)
    assert list(module.tasks) == [task]
    assert isinstance(module.network, Network)
    assert (module.network.decoder is not None) == decoder
    assert config["monitor"].startswith(f"val/{task}/")


def test_the_weights_follow_from_the_global_seed(configured: Configure) -> None:
    config = configured()

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.detach().flatten() for p in make_module(config, make_data(config).info).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_optimiser_and_scheduler_see_every_parameter(configured: Configure) -> None:
    config = configured("optimizer.lr=0.25", "scheduler=cosine", "trainer.max_epochs=7")
    module = make_module(config, make_data(config).info)
    plan = module.configure_optimizers()
    held = {id(p) for group in plan["optimizer"].param_groups for p in group["params"]}
    assert held == {id(p) for p in module.parameters()}
    assert plan["optimizer"].param_groups[0]["lr"] == 0.25
    assert plan["lr_scheduler"]["scheduler"].T_max == 7


@pytest.mark.parametrize("empty", [{}, None])
def test_no_scheduler_where_none_is_chosen(configured: Configure, empty: Any) -> None:
    config = {**configured(), "scheduler": empty}
    assert isinstance(make_module(config, make_data(config).info).configure_optimizers(), torch.optim.AdamW)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.lr=-1"], r"^optimizer \(AdamW\): Invalid learning rate: -1$"),
        (["optimizer=sgd", "optimizer.momentum=0"], r"^optimizer \(SGD\): Nesterov momentum requires"),
        (["scheduler=plateau", "scheduler.factor=2"], r"^scheduler \(ReduceLROnPlateau\): Factor should be < 1\.0"),
        (["+optimizer.lrr=1"], r"^unknown key 'optimizer\.lrr': did you mean 'lr'"),
        (["optimizer._partial_=false"], r"^optimizer lacks 'params'"),
        (["balance.weights.segmentation=-1"], r"^balance\.weights\.segmentation is -1"),
        (
            ["task=segmentation", "+balance.weights.classification=1"],
            r"^balance\.weights\.classification is for no task",
        ),
    ],
    ids=str,
)
def test_settings_are_refused_before_the_data_are_read(
    configured: Configure, overrides: list[str], message: str
) -> None:
    config = configured(*overrides)
    data = make_data(config)
    with pytest.raises(ConfigError, match=message):
        make_module(config, data.info)
    assert data.splits == {}


def test_trying_out_the_optimiser_leaves_the_random_state_alone(configured: Configure) -> None:
    """Weights must not depend on which optimiser is chosen, or an ablation of optimisers compares initialisations."""
    found = []
    for choice in ("adamw", "sgd"):
        config = configured(f"optimizer={choice}")
        torch.manual_seed(0)
        module = make_module(config, make_data(config).info)
        found.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(*found)


def test_no_task_at_all(configured: Configure) -> None:
    config = {**configured(), "tasks": {}}
    with pytest.raises(ConfigError, match="no task is configured; choose task=classification"):
        make_module(config, make_data(config).info)


# -------------------------------------------------------------------------------------------------------------- trainer


def test_everything_is_written_into_the_runs_folder(configured: Configure, tmp_path: Path) -> None:
    folder = tmp_path / "a run {with} braces"
    trainer = make_trainer(configured("logger=tensorboard"), folder)
    assert trainer.default_root_dir == str(folder)
    (checkpoint,) = [item for item in trainer.callbacks if isinstance(item, ModelCheckpoint)]  # type: ignore[attr-defined]
    assert checkpoint.dirpath == str(folder)
    assert (checkpoint.monitor, checkpoint.mode) == ("val/segmentation/dice", "max")
    (logger,) = trainer.loggers
    assert isinstance(logger, TensorBoardLogger)
    assert Path(logger.log_dir).is_relative_to(folder)
    assert not folder.exists()


def callbacks(config: dict[str, Any], folder: Path) -> list[str]:
    """Types of the trainer's callbacks."""
    found: list[Any] = make_trainer(config, folder).callbacks  # type: ignore[attr-defined]
    return sorted(type(callback).__name__ for callback in found)


def test_each_callback_can_be_switched_off(configured: Configure, tmp_path: Path) -> None:
    whole = configured()
    names = callbacks(whole, tmp_path)
    for name in whole["callbacks"]:
        if name != "best":  # where there is none, Lightning adds a checkpoint of its own
            fewer = {**whole, "callbacks": {**whole["callbacks"], name: None}}
            assert len(callbacks(fewer, tmp_path)) == len(names) - 1, name


@pytest.mark.parametrize("override", ["trainer.enable_progress_bar=false", "callbacks.progress=null"])
def test_without_a_bar_there_is_none(configured: Configure, tmp_path: Path, override: str) -> None:
    assert "Progress" in callbacks(configured(), tmp_path)
    trainer = make_trainer(configured(override), tmp_path)
    assert not [item for item in trainer.callbacks if isinstance(item, ProgressBar)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("empty", [{}, None])
def test_no_logger_and_no_callbacks(configured: Configure, tmp_path: Path, empty: Any) -> None:
    trainer = make_trainer({**configured(), "logger": empty, "callbacks": empty}, tmp_path)
    assert trainer.loggers == []


@pytest.mark.parametrize("key", ["callbacks", "logger", "default_root_dir"])
def test_what_tandem_fills_in_cannot_be_typed(configured: Configure, tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^trainer\.{key} cannot be set, because tandem sets it"):
        make_trainer(configured(f"+trainer.{key}=null"), tmp_path)


@pytest.mark.parametrize(("precision", "fix"), [("16-true", "16-mixed"), ("bf16-true", "bf16-mixed")])
def test_weights_in_half_precision_are_refused(configured: Configure, tmp_path: Path, precision: str, fix: str) -> None:
    with pytest.raises(ConfigError, match=rf"^trainer\.precision is {precision}, .*; set trainer\.precision={fix}$"):
        make_trainer(configured(f"trainer.precision={precision}"), tmp_path)


def test_the_configuration_itself_keeps_no_folder(configured: Configure, tmp_path: Path) -> None:
    config = configured()
    make_trainer(config, tmp_path)
    assert str(tmp_path) not in str(config)
    assert "{run}" in str(config)
