"""What is shown while a run trains."""

import io
import logging
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from rich.console import Console
from torch.utils.data import DataLoader

from tandem.callbacks import BestCheckpoint, EpochLog, Progress, ThresholdSweep
from tandem.callbacks.progress import in_terminal
from tandem.data.batch import Batch
from tandem.utils.console import ConsoleHandler, warnings_logged

Make = Callable[..., Any]


def feed(batches: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def shown(bar: Progress, **known: float) -> dict[str, Any]:
    values = {key.replace("__", "/"): torch.tensor(value) for key, value in known.items()}
    trainer = cast(pl.Trainer, SimpleNamespace(callback_metrics=values, callbacks=[]))
    found: dict[str, Any] = bar.get_metrics(trainer, cast(Any, None))
    return found


def test_names_are_short_and_only_the_chosen_values_are_shown() -> None:
    bar = Progress(show=["val/segmentation/dice", "val/classification/balanced_accuracy", "val/absent"])
    found = shown(
        bar,
        train__step_loss=3.0,
        train__segmentation__step_loss=1.0,
        train__classification__step_loss=2.0,
        val__segmentation__dice=0.5,
        val__segmentation__iou=0.25,
    )
    assert found == {"loss": 3.0, "seg loss": 1.0, "cla loss": 2.0, "seg dice": 0.5}


def test_no_value_hides_another_of_the_same_short_name() -> None:
    found = shown(
        Progress(show=["val/loss", "val/segment/loss"]),
        train__step_loss=1.0,
        train__segmentation__step_loss=2.0,
        val__loss=3.0,
        val__segment__loss=4.0,
    )
    assert found == {"loss": 1.0, "seg loss": 2.0, "val/loss": 3.0, "val/segment/loss": 4.0}


@pytest.mark.parametrize("columns", [80, 100])
def test_the_bar_fits_a_line_of_its_terminal(
    columns: int, module: Make, trainer: Make, batches: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, width=columns, force_terminal=True, legacy_windows=False)
    monkeypatch.setattr("pytorch_lightning.callbacks.progress.rich_progress.get_console", lambda: console)
    monkeypatch.setattr("tandem.callbacks.progress.get_console", lambda: console)
    monkeypatch.setattr("tandem.callbacks.progress.in_terminal", lambda: True)
    many = {f"val/{task}/{name}": torch.tensor(0.5) for task in ("segmentation", "classification") for name in "abcd"}

    class Crowd(pl.Callback):
        def on_train_batch_end(self, run: pl.Trainer, *given: Any) -> None:
            run.callback_metrics.update(many)

    bar = Progress(show=list(many))
    run = trainer(Crowd(), ThresholdSweep(), bar, max_epochs=1, enable_progress_bar=True)
    run.fit(module(), feed(batches(0)), feed(batches(1)))
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.getvalue()))
    epochs = [line.rstrip() for line in lines if "Epoch" in line]
    assert any("loss: " in line for line in epochs)
    assert max(map(len, epochs)) <= columns
    assert [line for line in lines if line.strip() and not re.match(r"\s*(Epoch|Validation|Sanity)", line)] == []


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_runs_in_a_terminal(
    terminal: bool,
    module: Make,
    trainer: Make,
    batches: Make,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    bar = Progress(show=["val/segmentation/dice"])
    run = trainer(ThresholdSweep(), bar, max_epochs=2, enable_progress_bar=True)
    model = module()
    run.fit(model, feed(batches(0)), feed(batches(1)))
    assert set(bar.get_metrics(run, model)) == {"loss", "seg loss", "seg dice"}
    printed = capsys.readouterr().out
    assert "seg dice: 0." in printed if terminal else printed == ""
    assert (bar.progress is not None) == terminal, "no thread waits for its next update where nobody sees it"


def test_a_terminal_that_comes_in_mid_run_does_not_end_it(
    module: Make, trainer: Make, batches: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Appear(pl.Callback):
        def on_train_batch_start(self, *given: Any) -> None:
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    bar = Progress()
    run = trainer(Appear(), bar, max_epochs=1, enable_progress_bar=True)
    run.fit(module(), feed(batches(0)), feed(batches(1)))
    assert in_terminal()
    assert not bar.is_enabled


def test_without_stdout_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert in_terminal() is False


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_an_epoch_goes_to_the_log(
    terminal: bool,
    module: Make,
    trainer: Make,
    batches: Make,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    caplog.set_level(logging.INFO, "tandem")
    stop = EarlyStopping("val/loss", patience=1, min_delta=10)
    run = trainer(ThresholdSweep(), EpochLog(show=["val/segmentation/dice", "val/absent"]), stop, max_epochs=9)
    run.fit(module(), feed(batches(0)), feed(batches(1)))
    lines = [record.getMessage() for record in caplog.records if record.name == "tandem.callbacks.progress"]
    assert [re.sub(r"\d+\.\d+", "_", line) for line in lines] == [
        "training starts at epoch 0",
        "epoch 0/8  _ s  val/segmentation/dice _  val/loss _",
        "epoch 1/8  _ s  val/segmentation/dice _  val/loss _",
        "early stopping after epoch 1: val/loss has not improved for 1 validated epochs",
    ]
    assert f"val/segmentation/dice {run.callback_metrics['val/segmentation/dice'].item():.4f}" in lines[-2]


def test_the_line_of_the_best_epoch_says_so(
    module: Make, trainer: Make, batches: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    class Worse(pl.Callback):
        def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            pl_module.log("val/score", torch.tensor([1.0, 3.0, 2.0, float("nan")])[trainer.current_epoch])

    caplog.set_level(logging.INFO, "tandem")
    saved = BestCheckpoint(tmp_path, "val/score", "max")
    run = trainer(Worse(), EpochLog(), saved, max_epochs=4, enable_checkpointing=True)
    run.fit(module(), feed(batches(0)), feed(batches(1)))
    lines = [record.getMessage() for record in caplog.records if record.name == "tandem.callbacks.progress"]
    assert [line.endswith("best") for line in lines[1:]] == [True, True, False, False]
    assert torch.load(saved.best_model_path, weights_only=True)["epoch"] == 1


def test_log_lines_go_to_what_stdout_is_and_a_warning_of_a_library_is_one_of_them(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = ConsoleHandler()
    monkeypatch.setattr(sys, "stdout", above := io.StringIO())
    handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "line", (), None))
    assert above.getvalue() == "line\n"
    with warnings.catch_warnings(), warnings_logged():
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("slow\n  loader", stacklevel=1)
    assert [record.getMessage() for record in caplog.records] == ["UserWarning: slow loader"]
