"""A run whose monitored value stays nan ends early."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tandem.callbacks.monitor_watch import MonitorWatch
from tandem.data.batch import Batch
from tandem.errors import DataError

Make = Callable[..., Any]
NAN = math.nan


def feed() -> DataLoader[Batch]:
    image = torch.linspace(-1, 2, 16).view(1, 1, 4, 4)
    batch = Batch(image=image, mask=(image > 0).to(torch.uint8), id=["case"])
    return DataLoader([batch], batch_size=None)  # type: ignore[arg-type]


def fit(watch: MonitorWatch, shifts: Sequence[float], module: Make, trainer: Make, schedule: Make, every: int) -> int:
    """Trains one epoch per shift of the logits; nan makes the epoch's values nan. Returns the number of epochs."""
    run = trainer(
        schedule(shifts), watch, max_epochs=len(shifts), num_sanity_val_steps=0, check_val_every_n_epoch=every
    )
    run.fit(module(), feed(), feed())
    return int(run.current_epoch)


@pytest.mark.parametrize(
    ("shifts", "every", "epochs", "warnings"),
    [
        ([0, 0, 0, 0], 1, 4, 0),
        ([NAN, NAN, 0, NAN, NAN, 0], 1, 6, 4),  # never three in a row
        ([0, NAN, NAN, NAN, 0, 0], 1, 4, 3),
        ([NAN, 0, NAN, 0, NAN, 0], 2, 6, 0),  # only validated epochs count
    ],
)
def test_training_ends_after_three_undefined_epochs(
    shifts: list[float], every: int, epochs: int, warnings: int, module: Make, trainer: Make, schedule: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.WARNING, "tandem.callbacks.monitor_watch")
    assert fit(MonitorWatch("val/segmentation/loss"), shifts, module, trainer, schedule, every) == epochs
    logged = [one.getMessage() for one in caplog.records if one.name == "tandem.callbacks.monitor_watch"]
    assert len(logged) == warnings
    assert all(line.startswith("val/segmentation/loss is nan in epoch ") for line in logged)


@pytest.mark.parametrize("shifts", [[NAN], [NAN] * 5])
def test_a_run_without_a_best_epoch_is_an_error(
    shifts: list[float], module: Make, trainer: Make, schedule: Make
) -> None:
    watch = MonitorWatch("val/segmentation/loss")
    with pytest.raises(DataError, match="val/segmentation/loss was nan in every validated epoch"):
        fit(watch, shifts, module, trainer, schedule, 1)
    assert watch.missing == min(len(shifts), 3)


def test_a_resumed_run_knows_the_epochs_before() -> None:
    before, after = MonitorWatch("val/loss"), MonitorWatch("val/loss")
    before.missing, before.defined = 2, True
    after.load_state_dict(before.state_dict())
    assert (after.missing, after.defined) == (2, True)
