"""Every balance under Lightning: resumes exactly, and clipping, schedules, accumulation and precision are its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import tandem.balance
from tandem.balance import FAMO, RLW, Balance, FixedWeights, PCGrad, Uncertainty
from tandem.data.batch import Batch
from tandem.data.datamodule import DataModule
from tandem.module import MultiTaskModule

Make = Callable[..., MultiTaskModule]
Trainers = Callable[..., pl.Trainer]
Batches = Callable[..., Batch]
Feed = Callable[..., DataLoader[Batch]]

OPTIONS: dict[str, dict[str, Any]] = {"TorchJD": {"method": "PCGrad"}}
ALL = [name for name in tandem.balance.__all__ if name != "Balance"]
VAL: DataLoader[Batch] = DataLoader([], batch_size=None)  # type: ignore[arg-type]
"""Stands for validation data where none are looked at."""


def kind(name: str) -> type[Balance]:
    found: type[Balance] = getattr(tandem.balance, name)
    return found


def state(module: MultiTaskModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


class Values(pl.Callback):
    """What each epoch logged."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append({key: float(value) for key, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize("name", [name for name in ALL if name != "FixedWeights"])
def test_a_resumed_run_is_the_unbroken_one(
    name: str, make: Make, trainer: Trainers, batch: Batches, feed: Feed, tmp_path: Path
) -> None:
    options = OPTIONS.get(name, {})
    loader = feed(batch(seed=1), batch(seed=2, without=("mask",)), batch(seed=3))
    whole, seen = make(kind(name), **options), Values()
    trainer(seen, max_epochs=3, limit_val_batches=0).fit(whole, loader, VAL)

    half = trainer(max_epochs=2, limit_val_batches=0)  # two, so that DWA's weights leave 1
    half.fit(make(kind(name), **options), loader, VAL)
    half.save_checkpoint(tmp_path / "last.ckpt")
    torch.manual_seed(99)
    resumed, rest = make(kind(name), **options), Values()
    run = trainer(rest, max_epochs=3, limit_val_batches=0)
    run.fit(resumed, loader, VAL, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    expected, found = state(whole), state(resumed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert rest.epochs == seen.epochs[2:]
    assert {"train/classification/weight", "train/segmentation/weight"} <= rest.epochs[0].keys()


@pytest.mark.parametrize("name", ["DWA", "FAMO", "GradNorm", "UPGrad"])
def test_a_single_task_trains_as_with_fixed_weights(
    name: str, make: Make, trainer: Trainers, batch: Batches, feed: Feed
) -> None:
    modules = [make(chosen, "segmentation") for chosen in (kind(name), FixedWeights)]
    for module in modules:
        trainer(limit_val_batches=0).fit(module, feed(batch(seed=1), batch(seed=2)), VAL)
    first, second = (module.get_submodule("network") for module in modules)
    for (key, one), two in zip(first.named_parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", ["Uncertainty", "FAMO", "GradNorm", "UPGrad"])
def test_a_batch_without_masks_trains_the_other_task(
    name: str, make: Make, trainer: Trainers, batch: Batches, feed: Feed
) -> None:
    module = make(kind(name))
    before = {key: value.clone() for key, value in module.named_parameters()}
    trainer(limit_val_batches=0).fit(module, feed(batch(without=("mask",))), VAL)
    changed = {key.split(".")[1] for key, value in module.named_parameters() if not torch.equal(value, before[key])}
    own = {"log_variance_classification"} if name == "Uncertainty" else set()
    assert changed == {"encoder", "classification"} | own, "neither decoder nor the other head"


class Steps(pl.Callback):
    """Gradients as the optimiser sees them, and its learning rates."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.rates: list[float] = []
        self.grads: list[dict[str, Tensor]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_before_zero_grad(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.keep(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep(pl_module)

    def keep(self, module: pl.LightningModule) -> None:
        found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
        if found:
            self.grads.append(found)
            self.norms.append(float(torch.cat([gradient.flatten() for gradient in found.values()]).norm()))


@pytest.mark.parametrize("name", ["UPGrad", "GradNorm", "FAMO"])
def test_gradients_are_clipped_and_the_rate_is_scheduled(
    name: str, make: Make, trainer: Trainers, batch: Batches, feed: Feed
) -> None:
    seen = Steps()
    run = trainer(seen, max_epochs=3, limit_val_batches=0, gradient_clip_val=1e-3)
    run.fit(make(kind(name)), feed(batch(seed=1), batch(seed=2)), VAL)
    assert seen.norms == pytest.approx([1e-3] * 6, rel=1e-3)
    assert seen.rates == pytest.approx([1e-2, 5e-3, 2.5e-3])


@pytest.mark.parametrize("name", ["UPGrad", "MGDA", "CAGrad", "AlignedMTL"])
def test_accumulated_batches_are_one_large_one(
    name: str, make: Make, trainer: Trainers, batch: Batches, feed: Feed
) -> None:
    """The network is put into evaluation, since batch normalisation is no mean over rows."""

    class Still(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            pl_module.network.eval()

    whole = batch(8)
    halves = [
        Batch(image=whole["image"][i : i + 4], label=whole["label"][i : i + 4],
              mask=whole["mask"][i : i + 4], id=whole["id"][i : i + 4])
        for i in (0, 4)
    ]  # fmt: skip
    found = []
    for accumulate, batches in ((1, [whole]), (2, halves)):
        seen = Steps()
        run = trainer(seen, Still(), limit_val_batches=0, accumulate_grad_batches=accumulate)
        run.fit(make(kind(name), dropout=0.0), feed(*batches), VAL)
        found.append(seen.grads[-1])
    for key, gradient in found[0].items():
        torch.testing.assert_close(found[1][key], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["UPGrad", "PCGrad", "GradNorm", "FAMO", "Uncertainty"])
def test_bfloat16_trains(name: str, make: Make, trainer: Trainers, batch: Batches, feed: Feed) -> None:
    seen = Steps()
    run = trainer(seen, limit_val_batches=0, precision="bf16-mixed", accumulate_grad_batches=2)
    run.fit(make(kind(name)), feed(batch(seed=1), batch(seed=2)), VAL)
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in seen.grads[0].values())


def test_validation_neither_draws_nor_learns(make: Make, trainer: Trainers, batch: Batches, feed: Feed) -> None:
    for chosen in (RLW, PCGrad, FAMO):
        module = make(chosen)
        module.balance.train()
        before = state(module)
        (found,) = trainer().validate(module, feed(batch()), verbose=False)
        losses = [found[f"val/{task}/loss"] for task in ("classification", "segmentation")]
        assert found["val/loss"] == pytest.approx(sum(losses), rel=1e-5)
        assert all(torch.equal(value, before[name]) for name, value in state(module).items())


def test_the_logged_training_loss_has_the_fixed_weights(make: Make, trainer: Trainers, phantoms: DataModule) -> None:
    seen = Values()
    weights = {"classification": 2.0, "segmentation": 0.5}
    trainer(seen, max_epochs=1).fit(make(RLW, weights=weights), datamodule=phantoms)
    for stage in ("train", "val"):
        terms = [weight * seen.epochs[0][f"{stage}/{task}/loss"] for task, weight in weights.items()]
        assert seen.epochs[0][f"{stage}/loss"] == pytest.approx(sum(terms), rel=1e-5)


def test_famo_computes_the_same_batch_again_and_leaves_statistics_alone(
    make: Make, trainer: Trainers, batch: Batches, feed: Feed
) -> None:
    module = make(FAMO, dropout=0.5)
    passes: list[tuple[float, Tensor]] = []
    network = module.get_submodule("network")
    network.register_forward_hook(lambda *_: passes.append((torch.rand(()).item(), statistics(module))))
    run = trainer(limit_val_batches=0, accumulate_grad_batches=2)
    run.fit(module, feed(batch(seed=1), batch(seed=2), batch(seed=3)), VAL)
    draws = [draw for draw, _ in passes]
    assert len(passes) == 5, "three batches and two steps"
    assert draws[1] == draws[2]
    assert draws[3] == draws[4]
    assert len(set(draws)) == 3
    assert not torch.equal(passes[3][1], passes[1][1])
    assert torch.equal(statistics(module), passes[3][1]), "as after the last training pass"
    assert isinstance(module.balance, FAMO)
    assert module.balance.steps.tolist() == [2.0, 2.0]


def statistics(module: MultiTaskModule) -> Tensor:
    buffers = module.get_submodule("network").named_buffers()
    return torch.cat([value.flatten() for key, value in buffers if "running" in key]).clone()


def test_log_variances_are_in_the_checkpoint_and_move(make: Make, trainer: Trainers, phantoms: DataModule) -> None:
    module = make(Uncertainty)
    trainer(max_epochs=2).fit(module, datamodule=phantoms)
    for task in ("classification", "segmentation"):
        assert module.state_dict()[f"balance.log_variance_{task}"].item() != 0.0
