"""Adversary and schedules in whole trainings: who learns what, and that an interruption changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.datamodule import DataModule
from tandem.factory import make_data, make_module
from tandem.module import MultiTaskModule

TINY = [
    "experiment=tiny",
    "task=segmentation",
    "+network.backbone_options={widths: [4, 8, 8, 8, 12]}",
    "network.decoder_options.decoder_channels=[16, 16, 8, 8, 8]",
    "data.train=12",
    "data.val=12",
    "data.test=12",
    "data.seed=3",
    "loss/binary@tasks.segmentation.loss=dice_bce",
    "tasks.segmentation.loss.weights.bce={from: 0.0, to: 1.0, start: 0, end: 2}",
]
SMALL = ["tasks.segmentation.adversary.discriminator={width: 4, depth: 2}"]
D = "task_modules.segmentation.adversary.discriminator."

Trainer = Callable[..., pl.Trainer]


def parts(*overrides: str) -> tuple[MultiTaskModule, DataModule]:
    """Module and data of a configuration."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", [*TINY, *overrides]))
    data = make_data(config)
    torch.manual_seed(0)
    return make_module(config, data.info), data


def against(objective: str, *overrides: str) -> tuple[MultiTaskModule, DataModule]:
    return parts(f"adversary@tasks.segmentation.adversary={objective}", *SMALL, *overrides)


class Epochs(pl.Callback):
    """Keeps what each epoch logged."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.values.append({key: float(value) for key, value in trainer.callback_metrics.items()})


def flat(node: Any) -> list[Any]:
    """Tensors and other leaves of nested containers, in order."""
    if isinstance(node, dict):
        return [leaf for key in sorted(node, key=str) for leaf in flat(node[key])]
    return [leaf for item in node for leaf in flat(item)] if isinstance(node, list | tuple) else [node]


def equal(one: Any, two: Any) -> bool:
    pairs = list(zip(flat(one), flat(two), strict=True))
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


@pytest.mark.parametrize("objective", ["non_saturating", "wgan_gp"])
def test_a_resumed_run_is_the_unbroken_one(objective: str, trainer: Trainer, tmp_path: Path) -> None:
    schedule = "tasks.segmentation.adversary.weight={from: 0.0, to: 0.5, end: 2}"
    whole, data = against(objective, schedule)
    record = Epochs()
    trainer(record, max_epochs=3).fit(whole, datamodule=data)
    first, data = against(objective, schedule)
    half = trainer()
    half.fit(first, datamodule=data)
    half.save_checkpoint(tmp_path / "last.ckpt")
    second, data = against(objective, schedule)
    torch.manual_seed(99)
    rest = Epochs()
    trainer(rest, max_epochs=3).fit(second, datamodule=data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert equal(whole.state_dict(), second.state_dict())
    assert rest.values == record.values[1:]
    assert [values["train/segmentation/weight/adversarial"] for values in record.values] == [0, 0.25, 0.5]
    assert [values["train/segmentation/weight/bce"] for values in record.values] == [0, 0.5, 1]


def test_each_side_learns_from_its_own_steps_alone(trainer: Trainer) -> None:
    module, data = against("standard")
    optimizer = module.configure_optimizers()
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    sides = {name: parameter for name, parameter in module.named_parameters() if name.startswith(D)}
    assert sides
    assert not {id(parameter) for parameter in sides.values()} & held

    class Watch(pl.Callback):
        def values(self, module: Any) -> dict[str, Tensor]:
            return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            self.before = self.values(pl_module)

        def on_train_batch_end(
            self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            # callbacks come before the module: the network has stepped, the discriminator has not
            now = self.values(pl_module)
            moved = {name for name, value in now.items() if not torch.equal(value, self.before[name])}
            assert moved
            assert not {name for name in moved if name.startswith(D)}
            assert all(parameter.grad is None for parameter in sides.values())

    before = {name: parameter.detach().clone() for name, parameter in sides.items()}
    trainer(Watch()).fit(module, datamodule=data)
    assert all(not torch.equal(parameter, before[name]) for name, parameter in sides.items())


def test_a_run_with_an_adversary_begins_with_the_network_of_the_run_without() -> None:
    plain, with_adversary = parts()[0].state_dict(), against("standard")[0].state_dict()
    assert all(torch.equal(value, with_adversary[name]) for name, value in plain.items())


def test_mixed_precision_trains(trainer: Trainer) -> None:
    module, data = against("wgan_gp")
    record = Epochs()
    trainer(record, precision="bf16-mixed").fit(module, datamodule=data)
    values = record.values[0]
    assert all(torch.tensor(values[f"train/segmentation/adversarial/{key}"]).isfinite() for key in ("d_loss", "g_loss"))


def test_a_checkpoint_is_evaluated_with_the_weights_of_its_epoch(trainer: Trainer, tmp_path: Path) -> None:
    module, data = parts()
    record = Epochs()

    class Keep(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    run = trainer(record, Keep(), max_epochs=3)
    run.fit(module, datamodule=data)
    for epoch in (1, 0, 2):
        path = str(tmp_path / f"{epoch}.ckpt")
        (found,) = run.validate(module, datamodule=data, ckpt_path=path, weights_only=True, verbose=False)
        for key in ("val/loss", "val/segmentation/loss/bce", "val/segmentation/loss/bce/unweighted"):
            assert found[key] == pytest.approx(record.values[epoch][key], rel=1e-6)
