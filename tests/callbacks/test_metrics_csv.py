"""One row an epoch, of that epoch, through interruptions."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from tandem.callbacks import MetricsCSV, ThresholdSweep
from tandem.data.batch import Batch
from tandem.reports.metrics_table import read_metrics

Make = Callable[..., Any]
SHIFTS = [0.0, 1.0, -1.0, 2.0, -2.0]


def feed(batches: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def bce(batches: list[Batch], shift: float) -> float:
    """The mean over rows of each batch's mean over pixels, in float64."""
    total, rows = 0.0, 0
    for batch in batches:
        known = batch["mask"] != 255
        z, y = (batch["image"].double() + shift)[known], batch["mask"].double()[known]
        total += float(torch.mean(torch.log1p(torch.exp(-z)) + (1 - y) * z)) * len(batch["image"])
        rows += len(batch["image"])
    return total / rows


@pytest.fixture
def fit(module: Make, trainer: Make, batches: Make, schedule: Make, tmp_path: Path) -> Make:
    """Trains some epochs, whose logits are shifted by `SHIFTS`, and gives the trainer."""

    def run(epochs: int, ckpt_path: Path | None = None, *more: pl.Callback, **options: Any) -> pl.Trainer:
        halved = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
        model = module(rate=1e-12, scheduler=halved)
        made: pl.Trainer = trainer(
            schedule(SHIFTS),
            ThresholdSweep(),
            MetricsCSV(tmp_path / "metrics.csv"),
            *more,
            max_epochs=epochs,
            **options,
        )
        made.fit(model, feed(batches(0)), feed(batches(1)), ckpt_path=ckpt_path, weights_only=True)
        return made

    return run


def test_train_and_validation_values_of_a_row_belong_to_its_epoch(fit: Make, batches: Make, tmp_path: Path) -> None:
    fit(4)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["step"] for row in rows] == ["3", "6", "9", "12"]
    assert [float(row["lr"]) for row in rows] == pytest.approx([1e-12, 5e-13, 2.5e-13, 1.25e-13])
    for row, shift in zip(rows, SHIFTS, strict=False):
        for stage, seed in (("train", 0), ("val", 1)):
            expected = bce(batches(seed), shift)
            assert float(row[f"{stage}/segmentation/loss"]) == pytest.approx(expected, rel=1e-5)
            assert float(row[f"{stage}/loss"]) == pytest.approx(expected, rel=1e-5)
    assert {"val/segmentation/dice", "val/segmentation/threshold"} < set(rows[0])
    assert not [key for key in rows[0] if "step_loss" in key]


def test_an_interrupted_run_goes_on_where_it_stood(fit: Make, tmp_path: Path) -> None:
    fit(4)
    whole = (tmp_path / "metrics.csv").read_text()
    first = fit(2)
    first.save_checkpoint(tmp_path / "last.ckpt")
    assert len(read_metrics(tmp_path / "metrics.csv")) == 2, "a run from the start begins a new table"
    fit(4, tmp_path / "last.ckpt")
    assert (tmp_path / "metrics.csv").read_text() == whole


def test_epochs_that_are_trained_again_are_dropped(fit: Make, tmp_path: Path) -> None:
    fit(2).save_checkpoint(tmp_path / "last.ckpt")
    fit(5, tmp_path / "last.ckpt")
    assert len(read_metrics(tmp_path / "metrics.csv")) == 5
    fit(3, tmp_path / "last.ckpt")
    assert [row["epoch"] for row in read_metrics(tmp_path / "metrics.csv")] == ["0", "1", "2"]


def test_a_run_that_dies_keeps_its_finished_epochs(fit: Make, tmp_path: Path) -> None:
    class Die(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fit(4, None, Die())
    assert [row["epoch"] for row in read_metrics(tmp_path / "metrics.csv")] == ["0", "1"]


def test_an_epoch_without_validation_shows_no_older_values(fit: Make, batches: Make, tmp_path: Path) -> None:
    fit(4, check_val_every_n_epoch=2)
    rows = read_metrics(tmp_path / "metrics.csv")
    for row, shift in zip(rows, SHIFTS, strict=False):
        assert float(row["train/loss"]) == pytest.approx(bce(batches(0), shift), rel=1e-5)
    assert [row["val/loss"] == "" for row in rows] == [True, False, True, False]
    assert [row["val/segmentation/dice"] == "" for row in rows] == [True, False, True, False]
    assert float(rows[3]["val/loss"]) == pytest.approx(bce(batches(1), SHIFTS[3]), rel=1e-5)


def test_without_a_file_there_are_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "absent.csv") == []
