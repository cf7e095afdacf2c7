"""Freezing: weights, batch statistics, and for how long; and the origin of pretrained weights."""

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from tandem.balance import FixedWeights, PCGrad
from tandem.balance.balance import Balance
from tandem.callbacks import CollapseWatch
from tandem.data.datamodule import DataModule
from tandem.data.phantom import Phantom
from tandem.errors import ConfigError
from tandem.losses.binary import BCEFocal
from tandem.losses.multiclass import CrossEntropy
from tandem.module import MultiTaskModule
from tandem.network import Network, make_network
from tandem.network.freeze import first_epoch
from tandem.optim.param_groups import grouped_optimizer
from tandem.penalties import L2
from tandem.tasks import ClassificationTask, SegmentationTask

TASKS = ("classification", "segmentation")
State = dict[str, Tensor]


@pytest.mark.parametrize("freeze", ["all", "until_epoch_0", "until_epoch_", "until_epoch_-1", "Encoder", "", "2"])
def test_another_word_is_refused(freeze: str) -> None:
    with pytest.raises(ConfigError, match=r"^network\.freeze is .* none, encoder or until_epoch_k"):
        make_network(1, False, "small_cnn", "unet", freeze=freeze)
    assert first_epoch("until_epoch_12") == 12
    assert first_epoch("encoder") == math.inf


@pytest.fixture(scope="module")
def data() -> DataModule:
    module = DataModule(Phantom(size=32, train=12, val=6, test=6, seed=3), None, batch_size=6, workers=0, seed=1)
    module.setup()
    return module


def make(data: DataModule, freeze: str, balance: type[Balance] = FixedWeights, seed: int = 0) -> MultiTaskModule:
    """With everything that moves weights although they have no gradient: decay and a penalty."""
    torch.manual_seed(seed)
    options: dict[str, Any] = {"widths": (4, 8, 8, 8, 12)}
    network = make_network(
        1, True, "small_cnn", "unet", {"decoder_channels": [16, 16, 8, 8, 8]}, options, freeze=freeze, dropout=0.2
    )
    tasks = {
        "classification": ClassificationTask("classification", data.info, CrossEntropy()),
        "segmentation": SegmentationTask("segmentation", data.info, BCEFocal()),
    }
    made = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1)
    return MultiTaskModule(
        network,
        tasks,
        balance(dict.fromkeys(TASKS, 1.0), TASKS),
        partial(grouped_optimizer, make=made, lr_factors={"network.encoder": 0.5}),
        penalties={"all": L2(1e-3, ["network"])},
    )


class Record(pl.Callback):
    """The encoder's state, learnable weights and mode after each epoch of training."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.modes: list[set[bool]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        self.modes.append({part.training for part in pl_module.get_submodule("network.encoder").modules()})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        self.states.append(encoder(pl_module))


def encoder(module: MultiTaskModule) -> State:
    return {name: value.clone() for name, value in module.get_submodule("network.encoder").state_dict().items()}


def changed(first: State, second: State) -> set[str]:
    return {name for name in first if not torch.equal(first[name], second[name])}


@pytest.fixture
def fit(tmp_path: Path, data: DataModule) -> Iterator[Callable[..., Record]]:
    """Trains with a silent trainer and gives what was recorded."""

    def run(module: MultiTaskModule, epochs: int, ckpt_path: Path | None = None, save: Path | None = None) -> Record:
        record = Record()
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=1,
            deterministic=True,
            callbacks=[record, CollapseWatch(every=1)],
            default_root_dir=tmp_path,
        )
        trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
        if save:
            trainer.save_checkpoint(save)
        return record

    with warnings.catch_warnings():
        for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*smaller than the logging interval.*"):
            warnings.filterwarnings("ignore", message=message)
        yield run


def test_a_frozen_encoder_never_changes_and_the_rest_does(data: DataModule, fit: Callable[..., Record]) -> None:
    module = make(data, "encoder")
    before, everything = encoder(module), {name: value.clone() for name, value in module.state_dict().items()}
    record = fit(module, 2)
    assert not changed(before, record.states[-1])
    assert set().union(*record.modes) == {False}
    moved = changed(everything, module.state_dict())
    assert {"network.decoder", "task_modules.classification"} <= {".".join(name.split(".")[:2]) for name in moved}
    known = {id(p) for group in module.make_optimizer(module.named_parameters()).param_groups for p in group["params"]}
    assert not known & {id(parameter) for parameter in module.get_submodule("network.encoder").parameters()}


@pytest.mark.parametrize("balance", [FixedWeights, PCGrad])
def test_an_encoder_begins_to_learn_in_its_epoch(
    data: DataModule, fit: Callable[..., Record], balance: type[Balance]
) -> None:
    module = make(data, "until_epoch_2", balance)
    before = encoder(module)
    record = fit(module, 4)
    assert not changed(before, record.states[1])
    assert record.modes == [{False}] * 4 + [{True}] * 4
    first = changed(record.states[1], record.states[2])
    assert len(first) == len(before)  # weights, statistics and the count of batches
    assert len(changed(record.states[2], record.states[3])) == len(before)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_resumed_run_is_the_unbroken_one(
    data: DataModule, fit: Callable[..., Record], tmp_path: Path, cut: int
) -> None:
    whole = make(data, "until_epoch_2")
    fit(whole, 4)
    fit(make(data, "until_epoch_2"), cut, save=tmp_path / "cut.ckpt")
    resumed = make(data, "until_epoch_2", seed=7)
    fit(resumed, 4, tmp_path / "cut.ckpt")
    assert not changed(whole.state_dict(), resumed.state_dict())


def test_nothing_is_frozen_unless_asked() -> None:
    network = make_network(1, False, "small_cnn", "unet")
    network.begin_epoch(0)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(part.training for part in network.modules())


# -------------------------------------------------------------------------------------------------------------- weights


def checkpoint(network: Network, path: Path) -> Path:
    """What Lightning keeps of a run, as far as weights go."""
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": {**state, "task_modules.classification.threshold": torch.ones(1)}}, path)
    return path


def test_the_checkpoint_of_another_run_gives_its_encoder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = make_network(3, True, "test_resnet", "unet", {"decoder_channels": [16, 16, 8, 8, 8]})
    source.encoder(torch.rand(2, 3, 32, 32))  # so that batch statistics differ from those of a new network
    path = checkpoint(source, tmp_path / "best.ckpt")
    torch.manual_seed(2)
    network = make_network(3, False, "test_resnet", "unet", weights=str(path))
    assert not changed(dict(source.encoder.state_dict()), dict(network.encoder.state_dict()))


@pytest.mark.parametrize(("backbone", "channels"), [("small_cnn", 3), ("test_resnet", 1)])
def test_the_checkpoint_of_another_backbone_is_refused(tmp_path: Path, backbone: str, channels: int) -> None:
    path = checkpoint(make_network(channels, False, backbone, "unet"), tmp_path / "best.ckpt")
    with pytest.raises(ConfigError, match=r"^network\.weights: '.*best\.ckpt' is not a checkpoint of a run") as error:
        make_network(3, False, "test_resnet", "unet", weights=str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_broken_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "best.ckpt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^network\.weights: '.*best\.ckpt' is not a checkpoint of a run"):
        make_network(3, False, "test_resnet", "unet", weights=str(path))
    torch.save([1, 2], path)
    with pytest.raises(ConfigError, match=r"is not a checkpoint of a run"):
        make_network(3, False, "test_resnet", "unet", weights=str(path))


# -------------------------------------------------------------------------------------------------------- normalization


def test_the_statistics_are_those_of_the_weights_that_are_named() -> None:
    """One model, weights of two makers, who normalised differently."""
    import timm

    for name in ("mobilenetv3_large_100.ra_in1k", "mobilenetv3_large_100.miil_in21k"):
        known = timm.get_pretrained_cfg(name)
        assert known is not None
        network = make_network(3, False, name, "unet")
        torch.testing.assert_close(network.mean.flatten(), torch.tensor(known.mean))
        torch.testing.assert_close(network.std.flatten(), torch.tensor(known.std))


def test_the_statistics_of_a_file_may_be_given() -> None:
    network = make_network(3, False, "small_cnn", "unet", normalization={"mean": [0.1, 0.2, 0.3], "std": [0.4]})
    assert network.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert network.std.flatten().tolist() == pytest.approx([0.4] * 3)


WRONG = [{"mean": [0.5]}, {"mean": [0.5, 0.5], "std": [1.0]}, {"mean": [0.5], "std": [0]}, {"mean": ["a"], "std": [1]}]


@pytest.mark.parametrize("given", WRONG)
def test_statistics_that_mean_nothing_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^network\.normalization is .*, but must have mean and std"):
        make_network(3, False, "small_cnn", "unet", normalization=given)
