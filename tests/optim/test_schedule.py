"""The scheduler's plan for Lightning."""

import pytest
import pytorch_lightning as pl
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from tandem.optim.schedule import Resumable, with_scheduler


def _optimizer() -> Optimizer:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def test_without_a_scheduler_it_is_the_optimiser() -> None:
    optimizer = _optimizer()
    assert with_scheduler(optimizer, None, "val/loss", None) is optimizer


@pytest.mark.parametrize(("every", "frequency"), [(1, 1), (3, 3), (None, 1)])
def test_plateau_steps_after_each_validation(every: int | None, frequency: int) -> None:
    trainer = pl.Trainer(
        accelerator="cpu", check_val_every_n_epoch=every, val_check_interval=None if every else 5,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    plan = with_scheduler(_optimizer(), ReduceLROnPlateau, "val/dice", trainer)["lr_scheduler"]
    assert (plan["interval"], plan["monitor"], plan["frequency"]) == ("epoch", "val/dice", frequency)


def test_other_schedulers_step_after_each_epoch() -> None:
    plan = with_scheduler(_optimizer(), lambda optimizer: StepLR(optimizer, 2), "val/dice", None)["lr_scheduler"]
    assert plan["interval"] == "epoch"
    assert "frequency" not in plan


def test_parameters_are_looked_up_once_in_an_epoch() -> None:
    module = Resumable()
    module.first = torch.nn.Linear(1, 1)
    known = module.known_parameters()
    assert [name for name, _ in known] == ["first.weight", "first.bias"]
    assert module.known_parameters() is known
    module.second = torch.nn.Linear(1, 1, bias=False)
    module._trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=1)
    module.on_train_epoch_end()
    assert [name for name, _ in module.known_parameters()] == ["first.weight", "first.bias", "second.weight"]
