"""A deadline stops before the epoch that would not fit, shortens a cosine, and counts on after an interruption."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from tandem.callbacks import Deadline
from tandem.errors import ConfigError


class Machine:
    """A machine whose epochs take ten seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def epoch(self, watch: Deadline, epoch: int, epochs: int = 50, schedulers: Any = ()) -> bool:
        """Whether the run stops behind this epoch."""
        strategy = SimpleNamespace(reduce_boolean_decision=lambda late, all: late)
        trainer: Any = SimpleNamespace(
            current_epoch=epoch,
            max_epochs=epochs,
            should_stop=False,
            lr_scheduler_configs=schedulers,
            strategy=strategy,
        )
        watch.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
        self.now += 10
        watch.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
        return bool(trainer.should_stop)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_it_stops_before_the_epoch_that_would_not_fit(machine: Machine) -> None:
    watch = Deadline(25.0)
    assert [machine.epoch(watch, epoch) for epoch in range(2)] == [False, True]


def test_the_last_epoch_is_not_cut(machine: Machine) -> None:
    assert not machine.epoch(Deadline(1.0), 4, epochs=5)


def test_an_interrupted_run_has_the_time_that_is_left(machine: Machine) -> None:
    first, again = Deadline(35.0), Deadline(35.0)
    assert not machine.epoch(first, 0)
    machine.now += 1000  # until somebody typed the command again
    again.load_state_dict(first.state_dict())
    assert [machine.epoch(again, epoch) for epoch in (1, 2)] == [False, True]


def test_a_slow_machine_shortens_the_cosine_and_the_rate_still_ends_near_zero(machine: Machine) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = CosineAnnealingLR(optimizer, T_max=100)
    entry, watch, rates = SimpleNamespace(scheduler=scheduler, interval="epoch"), Deadline(101.0), []
    for epoch in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        if machine.epoch(watch, epoch, 100, [entry]):
            break
    assert len(rates) == 10
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.05


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        Deadline(seconds)
