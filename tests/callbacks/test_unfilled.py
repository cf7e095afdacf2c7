"""New memory is filled in the first step alone, and filling changes no number of code that writes before it reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import tandem
from tandem.callbacks import NonFinite
from tandem.callbacks.unfilled import SETTINGS, Unfilled, filled_again
from tandem.data.batch import Batch
from tandem.errors import TrainingError
from tandem.factory import make_data, make_module

Make = Callable[..., Any]


def feed(count: int) -> DataLoader[Batch]:
    """Batches of one image."""
    image = torch.linspace(-1, 2, 16).view(1, 1, 4, 4)
    batches = [Batch(image=image, mask=(image > 0).to(torch.uint8), id=[f"case{index}"]) for index in range(count)]
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


class Look(pl.Callback):
    """Notes whether memory is filled at the start of each batch."""

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def on_train_batch_start(self, *given: Any) -> None:
        """Lightning hook."""
        self.seen.append(SETTINGS.fill_uninitialized_memory)


@contextmanager
def exact(fill: bool) -> Iterator[None]:
    """Deterministic algorithms, with or without filling."""
    torch.use_deterministic_algorithms(True)
    try:
        with filled_again():
            SETTINGS.fill_uninitialized_memory = fill
            yield
    finally:
        torch.use_deterministic_algorithms(False)


def test_memory_is_filled_in_the_first_step_alone_and_afterwards(module: Make, trainer: Make) -> None:
    look = Look()
    with filled_again():
        trainer(look, Unfilled(), limit_val_batches=0).fit(module(rate=0.1), feed(3), feed(1))
    assert look.seen == [True, False, False]
    assert SETTINGS.fill_uninitialized_memory


def reads(gradient: Tensor) -> Tensor:
    """Adds what nobody has written."""
    return gradient + 0 * torch.empty(64)[0]


def test_a_part_that_reads_memory_before_it_writes_ends_the_run_in_the_first_step(module: Make, trainer: Make) -> None:
    whole = module(rate=0.1)
    whole.network.shift.register_hook(reads)
    with exact(fill=True), pytest.raises(TrainingError, match=r"gradient of network.shift is not finite in step 0"):
        trainer(NonFinite(), Unfilled(), limit_val_batches=0).fit(whole, feed(3), feed(1))


def weights(fill: bool) -> dict[str, Tensor]:
    """A network's weights after two steps of `experiment=tiny`."""
    config = tandem.compose(["experiment=tiny", "data.train=24", "data.val=24", "data.test=24"])
    data = make_data(config)
    data.setup()
    with exact(fill):
        torch.manual_seed(0)
        whole = make_module(config, data.info)
        optimizer = whole.make_optimizer(whole.named_parameters())
        samples = data.splits["train"]
        batch = Batch(image=samples.images[:8].float() / 255, mask=samples.masks[:8], label=samples.labels[:8])
        for _ in range(2):
            optimizer.zero_grad()
            whole.balance({name: output.loss for name, output in whole.shared_step(batch, "train").items()}).backward()
            optimizer.step()
    return dict(whole.state_dict())


def test_numbers_are_the_same_bit_for_bit() -> None:
    filled, unfilled = weights(fill=True), weights(fill=False)
    assert filled.keys() == unfilled.keys()
    assert all(torch.equal(filled[name], unfilled[name]) for name in filled)
    assert all(bool(value.isfinite().all()) for value in unfilled.values())
