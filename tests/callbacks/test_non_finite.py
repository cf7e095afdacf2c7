"""What is not finite is named where it arises, and stays out of the weights."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tandem.callbacks import NonFinite
from tandem.data.batch import Batch
from tandem.errors import ConfigError, TrainingError

Make = Callable[..., Any]


def feed(*images: Tensor) -> DataLoader[Batch]:
    """One batch for each tensor of logits, with names."""
    batches = [
        Batch(image=image, mask=(image > 0).to(torch.uint8), id=[f"case{index}"]) for index, image in enumerate(images)
    ]
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def logits(bad: bool = False) -> Tensor:
    """(1, 1, 4, 4), with one nan where asked."""
    made = torch.linspace(-1, 2, 16).view(1, 1, 4, 4)
    if bad:
        made[0, 0, 0, 0] = torch.nan
    return made


class Poison(torch.nn.Module):
    """Turns its gradient into nan, at one step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.count = step, 0

    def hook(self, gradient: Tensor) -> Tensor:
        """Of a parameter."""
        self.count += 1
        return gradient * torch.nan if self.count == self.step else gradient


def shift(module: Any) -> float:
    """The one weight."""
    return float(module.network.shift.detach())


def test_a_loss_that_is_not_finite_ends_the_run_and_is_placed(module: Make, trainer: Make) -> None:
    whole = module(rate=0.1)
    run = trainer(NonFinite(), limit_val_batches=0, num_sanity_val_steps=0)
    with pytest.raises(TrainingError, match=r"loss of segmentation is not finite in step 1 of epoch 0 .images case1.*"):
        run.fit(whole, feed(logits(), logits(bad=True), logits()), feed(logits()))
    assert shift(whole) != 0, "the first step was made"


def test_a_gradient_that_is_not_finite_ends_the_run_and_names_the_parameter(module: Make, trainer: Make) -> None:
    whole = module(rate=0.1)
    whole.network.shift.register_hook(Poison(2).hook)
    with pytest.raises(TrainingError, match=r"gradient of network.shift is not finite in step 1 of epoch 0"):
        trainer(NonFinite(), limit_val_batches=0).fit(whole, feed(*[logits()] * 3), feed(logits()))


def test_weights_that_the_last_step_spoilt_are_not_validated(module: Make, trainer: Make) -> None:
    whole = module(rate=1e38)
    whole.network.shift.register_hook(lambda gradient: 1e4 * gradient)
    with pytest.raises(TrainingError, match=r"weights of network.shift are not finite after epoch 0"):
        trainer(NonFinite(), limit_val_batches=0).fit(whole, feed(logits()), feed(logits()))


@pytest.mark.parametrize("where", [1, 2, 3])
def test_a_skipped_step_is_as_if_its_batch_had_not_come(
    where: int, module: Make, trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tandem")
    without, skipped, healthy = module(rate=0.1), module(rate=0.1), module(rate=0.1)
    trainer(NonFinite(), limit_val_batches=0).fit(without, feed(*[logits()] * 2), feed(logits()))
    batches = [logits()] * 2
    batches.insert(where - 1, logits(bad=True))
    trainer(NonFinite("skip"), limit_val_batches=0).fit(skipped, feed(*batches), feed(logits()))
    assert shift(skipped) == shift(without) != 0
    assert sum("step omitted" in record.getMessage() for record in caplog.records) == 1
    trainer(NonFinite("skip"), limit_val_batches=0).fit(healthy, feed(*[logits()] * 3), feed(logits()))
    assert shift(healthy) != shift(without)


def test_a_rollback_begins_the_epoch_with_the_next_batch(module: Make, trainer: Make) -> None:
    one, back = module(rate=0.1), module(rate=0.1)
    trainer(NonFinite(), limit_val_batches=0).fit(one, feed(logits()), feed(logits()))
    trainer(NonFinite("rollback"), limit_val_batches=0).fit(
        back, feed(logits(), logits(), logits(bad=True), logits()), feed(logits())
    )
    assert shift(back) == shift(one) != 0


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_what_does_not_end_ends_the_run(policy: Any, module: Make, trainer: Make) -> None:
    with pytest.raises(TrainingError, match="as in the 10 steps before"):
        trainer(NonFinite(policy), limit_val_batches=0).fit(
            module(rate=0.1), feed(*[logits(bad=True)] * 12), feed(logits())
        )


def test_nothing_changes_where_all_is_finite(module: Make, trainer: Make) -> None:
    found = []
    for callbacks in ([], [NonFinite()], [NonFinite("skip")], [NonFinite("rollback")]):
        whole = module(rate=0.1)
        trainer(*callbacks, limit_val_batches=0).fit(whole, feed(*[logits()] * 3), feed(logits()))
        found.append(shift(whole))
    assert len(set(found)) == 1


def test_another_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="policy is 'ignore', but must be one of stop, skip, rollback"):
        NonFinite("ignore")  # type: ignore[arg-type]
