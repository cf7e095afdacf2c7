"""The watch in a run: it changes no number, reports each finding once, also after a resume, and stops if configured."""

import copy
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tandem.callbacks import CollapseWatch, Progress
from tandem.callbacks.collapse import watch as watching
from tandem.callbacks.collapse.finding import Finding
from tandem.callbacks.collapse.history import History, Limits
from tandem.data.batch import Batch
from tandem.errors import ConfigError
from tandem.train.run import train

Make = Callable[..., Any]


def feed(*images: Tensor) -> DataLoader[Batch]:
    batches = [Batch(image=image, mask=torch.ones_like(image), id=[]) for image in images]
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def between(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, 24).view(2, 1, 3, 4)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record for record in caplog.records if record.name.startswith("tandem.callbacks.collapse")]
    assert all(record.levelno == logging.WARNING for record in found)
    return [record.getMessage() for record in found]


def always(history: History, limits: Limits) -> list[Finding]:
    return [Finding("always", "it is there", "nothing", task="segmentation")]


@pytest.fixture
def only_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "DETECTORS", (always,))


@pytest.mark.parametrize(
    ("val", "warns"),
    [
        ([between(0.02, 0.97), between(0.3, 0.4)], True),
        ([between(0.02, 0.97), between(-0.1, 0.4)], False),
        ([between(0.02, 0.97), between(0.5, 1.01)], False),
    ],
)
def test_probabilities_instead_of_logits_are_reported_once_however_many_epochs(
    val: list[Tensor], warns: bool, module: Make, trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    watch = CollapseWatch()
    trainer(watch, max_epochs=3).fit(module(), feed(between(-1, 1)), feed(*val))
    assert len(logged(caplog)) == len(watch.warnings) == warns
    if warns:
        assert logged(caplog)[0].startswith("warning: epoch 2, probabilities_as_logits: task 'segmentation': every")
        assert watch.warnings[0]["epoch"] == 2


def test_the_sanity_check_and_other_splits_report_nothing(
    module: Make, trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    run = trainer(CollapseWatch(), num_sanity_val_steps=1)  # its two batches together do not look like probabilities
    run.fit(module(), feed(between(-1, 1)), feed(between(0.1, 0.9), between(-1, 1)))
    run.test(module(), feed(between(0.1, 0.9)), verbose=False)
    assert not logged(caplog)


@pytest.mark.usefixtures("only_always")
def test_findings_are_not_reported_again_after_a_resume(
    module: Make, trainer: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = CollapseWatch()
    run = trainer(first, max_epochs=2)
    run.fit(module(), feed(between(-1, 1)), feed(between(-1, 1)))
    run.save_checkpoint(tmp_path / "half.ckpt")
    again = CollapseWatch()
    resumed = trainer(again, max_epochs=4)
    resumed.fit(
        module(), feed(between(-1, 1)), feed(between(-1, 1)), ckpt_path=tmp_path / "half.ckpt", weights_only=True
    )
    assert len(logged(caplog)) == 1
    assert again.warnings == first.warnings
    assert [epoch.number for epoch in again.history.epochs] == [0, 1, 2, 3]
    assert again.history.start == first.history.start


@pytest.mark.usefixtures("only_always")
def test_it_stops_where_asked_also_after_it_was_cut(module: Make, trainer: Make, tmp_path: Path) -> None:
    for stop, epochs in ((False, 4), (True, 1)):
        run = trainer(CollapseWatch(stop=stop), max_epochs=4)
        run.fit(module(), feed(between(-1, 1)), feed(between(-1, 1)))
        assert run.current_epoch == epochs
    run.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = trainer(CollapseWatch(stop=True), max_epochs=4)
    resumed.fit(
        module(), feed(between(-1, 1)), feed(between(-1, 1)), ckpt_path=tmp_path / "stopped.ckpt", weights_only=True
    )
    assert resumed.current_epoch == 1


def test_it_goes_on_at_what_is_not_fatal(module: Make, trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    mild = Finding("mild", "it is there", "nothing", fatal=False)
    monkeypatch.setattr(watching, "DETECTORS", (lambda history, limits: [mild],))
    run = trainer(CollapseWatch(stop=True), max_epochs=3)
    run.fit(module(), feed(between(-1, 1)), feed(between(-1, 1)))
    assert run.current_epoch == 3


def test_a_loss_that_is_nan_is_reported_before_validation_raises(
    module: Make, trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Refuse(pl.Callback):
        def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            raise ArithmeticError

    class Lose(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            next(pl_module.parameters()).data.fill_(math.nan)

    run = trainer(CollapseWatch(), Lose(), Refuse(), num_sanity_val_steps=0)
    with pytest.raises(ArithmeticError):
        run.fit(module(), feed(between(-1, 1)), feed(between(-1, 1)))
    assert logged(caplog)[0].startswith("warning: epoch 0, not_finite: train/segmentation/loss is nan in epoch 0")
    assert len(logged(caplog)) == 1


def test_the_bar_shows_the_first_finding_and_how_many_more(module: Make, trainer: Make) -> None:
    watch, bar = CollapseWatch(), Progress()
    run = trainer(watch, bar, enable_progress_bar=True)
    assert "!" not in bar.get_metrics(run, module())
    watch.findings = {"one_class/label": (1, Finding("one_class", "", "")), "b": (2, Finding("b", "", ""))}
    assert bar.get_metrics(run, module())["!"] == "one_class/label +1"


@pytest.mark.parametrize(
    "options", [{"every": 0}, {"warm_up": -1}, {"patience": 0}, {"share": 1.0}, {"share": math.nan}, {"opposed": 0.1}]
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))}="):
        CollapseWatch(**options)


# ------------------------------------------------------------------------------------------------------ whole tiny runs


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A resolved tiny configuration of two tasks."""
    from hydra import compose, initialize_config_dir

    from tandem.config.resolve import register, resolve
    from tandem.config.shipped import config_folder

    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    register()
    small = ["data.train=16", "data.val=12", "data.test=12", "data.seed=3", "callbacks.panels=null"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        typed = ["experiment=tiny", *small, "trainer.enable_progress_bar=false", "trainer.max_epochs=2"]
        yield resolve(compose("train", [*typed, "callbacks.collapse.every=1"]))


@pytest.mark.full
def test_a_run_is_the_same_bit_for_bit_with_and_without_it(tiny: dict[str, Any], tmp_path: Path) -> None:
    without = copy.deepcopy(tiny)
    without["callbacks"]["collapse"] = None
    results = [train(config, tmp_path / name) for name, config in (("with", tiny), ("without", without))]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["hash"] == results[1]["hash"]
    assert results[0]["warnings"] == results[1]["warnings"] == []
    states = [torch.load(tmp_path / name / "best.ckpt", weights_only=True) for name in ("with", "without")]
    for key, value in states[0]["state_dict"].items():
        assert torch.equal(value, states[1]["state_dict"][key]), key
    history = states[0]["callbacks"]["CollapseWatch"]["history"]
    for epoch in history["epochs"]:
        assert set(epoch["shares"]) == {"classification", "segmentation"}
        assert sum(epoch["shares"].values()) == pytest.approx(1)
        assert epoch["norm"] > 0
    tables = [(tmp_path / name / "metrics.csv").read_text() for name in ("with", "without")]
    assert tables[0] == tables[1]


def test_findings_are_in_results_report_and_trackers(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = Finding("always", "it <is> there", "nothing", {"share": 0.5}, "segmentation")
    monkeypatch.setattr(watching, "DETECTORS", (lambda history, limits: [shown],))
    results = train({**tiny, "trainer": {**tiny["trainer"], "max_epochs": 1}}, tmp_path / "run")
    (warning,) = results["warnings"]
    assert warning == {
        "epoch": 0,
        "name": "always",
        "task": "segmentation",
        "saw": "it <is> there",
        "attempt": "nothing",
        "numbers": {"share": 0.5},
        "fatal": True,
    }
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "it &lt;is&gt; there. Try: nothing" in page
    events = EventAccumulator(str(next((tmp_path / "run" / "tensorboard").rglob("events.*")).parent))
    events.Reload()
    assert [entry.value for entry in events.Scalars("warnings/always/segmentation")] == [1.0]
    assert any(name.startswith("warnings/always/segmentation") for name in events.Tags()["tensors"])
    assert events.Scalars("train/segmentation/gradient_share")


def experiment(name: str, epochs: int, folder: Path) -> dict[str, Any]:
    """Its first epochs, which are enough to detect it."""
    from hydra import compose, initialize_config_dir

    from tandem.config.resolve import register, resolve
    from tandem.config.shipped import config_folder

    register()
    quiet = ["trainer.enable_progress_bar=false", "callbacks.panels=null", "logger=none"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", [f"experiment={name}", f"trainer.max_epochs={epochs}", *quiet]))
    return train(config, folder)


@pytest.mark.full
def test_the_sources_broken_run_is_flagged_for_its_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    results = experiment("collapse", 5, tmp_path / "run")
    found = {(warning["name"], warning["task"]): warning for warning in results["warnings"]}
    assert {
        ("probabilities_as_logits", "segmentation"),
        ("learning_rate_too_high", "classification"),
        ("stuck_dice", "segmentation"),
        ("one_sided", "segmentation"),
        ("small_share", "segmentation"),
    } <= found.keys()
    assert "(optimizer.lr=0.01)" in found["learning_rate_too_high", "classification"]["attempt"]
    assert "(balance.weights.segmentation=1)" in found["small_share", "segmentation"]["attempt"]
    assert results["metrics"]["val/segmentation/dice"] == 0


@pytest.mark.full
def test_its_repair_is_not_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    results = experiment("recovered", 4, tmp_path / "run")
    assert results["warnings"] == []
    assert results["metrics"]["val/segmentation/dice"] > 0.5
