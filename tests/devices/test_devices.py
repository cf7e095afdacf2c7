"""What a device must do: half precision with its scaler, the same numbers twice and after a stop, memory that stays.

`make test-gpu` runs these tests where there is a GPU, and skips them with a reason elsewhere. `make test-full` runs the
same code on the CPU.
"""

import gc
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.trainer.connectors import accelerator_connector
from tests.faults.setups import MIXED, PHANTOM, Count, again, left, run

from tandem.config.shipped import config_folder

BALANCES = sorted(path.stem for path in (config_folder() / "balance").glob("*.yaml"))

THERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}

DEVICES = [
    pytest.param("cpu", marks=pytest.mark.full),
    *(
        pytest.param(name, marks=[pytest.mark.gpu, pytest.mark.skipif(not there, reason=f"torch finds no {name}")])
        for name, there in THERE.items()
    ),
]

HALF = {"cpu": "16-mixed", "cuda": "16-mixed", "mps": "32-true"}
"""Precision of the tests of half precision; Apple's devices have no scaler of their own."""


@pytest.fixture(autouse=True)
def same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, cuBLAS may give other numbers each time."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture
def scaler_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes bfloat16 instead of float16 on a CPU; here it takes float16 with a scaler, as on a GPU."""
    whole = accelerator_connector._AcceleratorConnector._check_and_init_precision

    def chosen(self: Any) -> Any:
        if self._precision_flag == "16-mixed" and self._accelerator_flag == "cpu":
            return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
        return whole(self)

    monkeypatch.setattr(accelerator_connector._AcceleratorConnector, "_check_and_init_precision", chosen)


def on(device: str, *words: str) -> list[str]:
    """Options of a small run on a device."""
    data = () if any(word.startswith("data=") for word in words) else PHANTOM
    return [*data, f"trainer.accelerator={device}", "trainer.deterministic=true", *words]


@pytest.mark.usefixtures("scaler_on_cpu")
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("device", DEVICES)
def test_half_precision_trains_with_each_balance(device: str, balance: str, tmp_path: Path) -> None:
    words = on(device, f"balance={balance}", f"trainer.precision={HALF[device]}", "trainer.max_epochs=2")
    run(words, tmp_path)
    found = left(tmp_path)
    assert all(bool(value.isfinite().all()) for value in found.weights.values())
    assert math.isfinite(found.results["metrics"]["val/loss"])
    assert not [each for each in found.results["warnings"] if each["name"] == "not_finite"]
    if HALF[device] == "16-mixed":
        saved = torch.load(tmp_path / "last.ckpt", weights_only=True, map_location="cpu")
        assert saved["MixedPrecision"]["scale"] > 1


class StopAt(Count):
    """Ends training with an exception at a moment, since a process that has used a GPU cannot be forked."""

    def reach(self, *_: object) -> None:
        """One more moment."""
        self.moments += 1
        if self.moments == self.last:
            raise StoppedError


class StoppedError(Exception):
    """Training was stopped."""


for hook in ("train_epoch_start", "train_batch_start", "train_batch_end", "validation_epoch_start", "train_epoch_end"):
    setattr(StopAt, f"on_{hook}", StopAt.reach)


SETUPS = {
    "as shipped": (),
    "half": ("callbacks=ema", "checkpoint.every_n_steps=1", "trainer.accumulate_grad_batches=2"),
    "workers": ("loader.workers=1", "scheduler=plateau", "balance=famo", "loader.sampling=balanced"),
    "mixed data": (*MIXED, "balance=pcgrad", "adversary@tasks.segmentation.adversary=standard"),
}


@pytest.mark.usefixtures("scaler_on_cpu")
@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("device", DEVICES)
def test_a_stopped_run_ends_as_one_that_was_not(device: str, setup: str, tmp_path: Path) -> None:
    words = on(device, *SETUPS[setup], *([f"trainer.precision={HALF[device]}"] if setup == "half" else []))
    moments = run(words, tmp_path / "whole", StopAt()).moments
    with pytest.raises(StoppedError):
        run(words, tmp_path / "stopped", StopAt(2 * moments // 3))
    assert (tmp_path / "stopped" / "last.ckpt").exists()
    again(words, tmp_path / "stopped")
    assert left(tmp_path / "stopped").differs(left(tmp_path / "whole")) == []


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_has_the_same_numbers_twice(device: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(on(device), tmp_path / name)
    assert left(tmp_path / "one").differs(left(tmp_path / "two")) == []


class Memory(Count):
    """Bytes of tensors at the end of each epoch."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.bytes: list[int] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts them."""
        gc.collect()
        self.bytes.append(allocated(self.device))


def allocated(device: str) -> int:
    """Bytes that tensors occupy on a device."""
    if device == "cuda":
        return int(torch.cuda.memory_allocated())
    if device == "mps":
        return int(torch.mps.current_allocated_memory())
    tensors = [each for each in gc.get_objects() if type(each) in (torch.Tensor, torch.nn.Parameter)]
    return sum({each.data_ptr(): each.nbytes for each in tensors}.values())


@pytest.mark.parametrize("device", DEVICES)
def test_memory_does_not_grow_over_epochs(device: str, tmp_path: Path) -> None:
    memory = Memory(device)
    run(on(device, "trainer.max_epochs=6", "callbacks.collapse.every=2"), tmp_path, memory)
    assert memory.bytes[-1] <= 1.01 * memory.bytes[1], memory.bytes
