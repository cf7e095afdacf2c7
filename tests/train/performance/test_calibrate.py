"""A run measures how to compute, keeps what it has chosen, and shares it with runs of the same structure."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from tests.faults.setups import composed, left, run
from tests.train.test_checks import configuration

from tandem.config.identity import run_hash
from tandem.config.resolve import resolve
from tandem.data.datamodule import DataModule
from tandem.errors import ConfigError
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import read_settings
from tandem.factory import make_data, make_module, make_trainer
from tandem.module import MultiTaskModule
from tandem.runs.mixture import mixtures
from tandem.runs.performance import Computing
from tandem.train.performance import calibrate
from tandem.train.performance.calibrate import Calibration, calibrated
from tandem.train.performance.choose import Times
from tandem.train.performance.trial import MOST_TURNS, Trial, difference, in_turns
from tandem.train.run import check_config, train
from tandem.utils.machine import native_bfloat16

HALF = Computing("bf16-mixed", fused=True)
PLAIN = {"precision": "bf16-mixed", "channels_last": False, "fused": True, "threads": None}
WORDS = (
    *("data.train=8", "data.val=8", "data.test=8", "data.seed=3", "performance=fast", "trainer.accelerator=cpu"),
    *("network.decoder_options.decoder_channels=[8,8,4,4,4]", "+network.backbone_options.widths=[4,4,4,4,8]"),
    *("trainer.max_epochs=2", "trainer.num_sanity_val_steps=0", "callbacks.tracking=null"),
)

Run = tuple[dict[str, Any], pl.Trainer, MultiTaskModule, DataModule]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test finds what another one has measured."""
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "cache"


def quick(steps: Mapping[Computing, Callable[[], None]], limit: float) -> Times:
    """Times of a machine on which bfloat16 and a fused step are faster."""
    return {one: [1.0 - 0.5 * (one.precision == "bf16-mixed") - 0.1 * one.fused] * 3 for one in steps}


def prepared(*words: str, folder: Path) -> Run:
    """What `calibrated` takes, for a run that may not start."""
    config = configuration("performance=fast", "trainer.accelerator=cpu", "data.train=6", *words)
    data = make_data(config)
    data.setup()
    return config, make_trainer(config, folder), make_module(config, data.info), data


@pytest.mark.full
def test_a_run_keeps_its_choice_and_its_evaluation_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(calibrate, "native_bfloat16", lambda: True)
        patched.setattr(calibrate, "in_turns", quick)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(resolve(composed(WORDS)), folder, [Stop()])
    assert json.loads((folder / "performance.json").read_text()) == PLAIN
    assert torch.load(folder / "last.ckpt", weights_only=True)["performance"] == PLAIN
    (folder / "performance.json").unlink()  # what the checkpoint says is enough
    monkeypatch.setattr(Calibration, "run", lambda self: pytest.fail("a run that goes on does not measure again"))
    run(WORDS, folder)
    results = json.loads((folder / "results.json").read_text())
    assert results["performance"] == PLAIN
    assert results["epochs"] == 2
    state = torch.load(folder / "last.ckpt", weights_only=True)
    assert state["performance"] == PLAIN
    asked = {"run": str(folder), "split": "test", "threshold": "stored", "batch_size": None, "device": "cpu"}
    more = {"masks": False, "cases": 1, "page": False, "samples": 20, "seed": 0, "data": None}
    found = evaluate_run(read_settings({**asked, **more}))["metrics"]
    known = {key: value for key, value in left(folder).results["metrics"].items() if key.startswith("test/")}
    assert {key: found[key] for key in known} == known
    exact = {**results, "config": {**results["config"], "performance": {"name": "exact"}}}
    exact["config"]["trainer"] = {**results["config"]["trainer"], "precision": "32-true"}
    del exact["performance"]
    lines = mixtures([(tmp_path / "a", results), (tmp_path / "b", exact)])
    assert lines == [
        "runs of 2 different precisions: bf16-mixed (a), 32-true (b)",
        "runs of 2 different ways to compute: fast: precision bf16-mixed, fused optimiser (a), exact (b)",
    ]


def test_a_run_of_the_same_structure_does_not_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, own_cache: Path
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(calibrate, "native_bfloat16", lambda: True)
    monkeypatch.setattr(calibrate, "in_turns", quick)
    config, trainer, module, data = prepared(folder=tmp_path)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    numbers = torch.get_rng_state()
    assert calibrated(config, trainer, module, data) == HALF
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert "performance=fast: precision bf16-mixed, fused optimiser (" in caplog.text
    (file,) = own_cache.glob("performance/*.json")

    ran: list[int] = []

    def counted(calibration: Calibration) -> Computing:
        ran.append(1)
        return Computing()

    monkeypatch.setattr(Calibration, "run", counted)
    assert calibrated(*prepared("seed=5", "optimizer.lr=0.5", folder=tmp_path)) == HALF
    assert not ran
    assert "(measured before, for the same structure)" in caplog.text
    calibrated(*prepared("loader.batch_size=3", folder=tmp_path))
    assert len(ran) == 1, "another batch is another measurement"
    file.write_text("{")
    assert calibrated(config, trainer, module, data) == Computing()
    assert len(ran) == 2
    assert f"cache file {file} is damaged" in caplog.text


@pytest.mark.parametrize(
    ("words", "native", "threads", "axes"),
    [
        ((), False, "1", ["fused"]),
        ((), True, "1", ["precision", "fused"]),
        (("trainer.precision=32-true",), True, "1", ["fused"]),  # a set precision is kept
        (("trainer.precision=bf16-mixed",), True, "1", ["fused"]),
        (("+optimizer.fused=false",), True, "1", ["precision"]),
        (("+optimizer.foreach=true",), True, "1", ["precision"]),
        ((), True, None, ["precision", "threads", "fused"]),
    ],
)
def test_what_a_person_has_set_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Sequence[str], native: bool, threads: str | None, axes: Any
) -> None:
    monkeypatch.setattr(calibrate, "native_bfloat16", lambda: native)
    monkeypatch.setattr(calibrate, "usable_cores", lambda: 64)
    if threads is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
        monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    found = list(Calibration(*prepared(*words, folder=tmp_path)).axes())
    assert [next(iter(axis[0])) for axis in found] == axes


@pytest.mark.full
def test_a_real_measurement_ends_in_time_with_a_setting_that_is_not_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = Calibration(*prepared("performance.seconds=1.5", folder=tmp_path))
    found = calibration.run()
    assert replace(found, precision="32-true") in (Computing(), Computing(fused=True))
    assert found.precision == "32-true" or native_bfloat16()
    assert calibration.took < 10
    calibration = Calibration(*prepared("performance.seconds=1e-6", folder=tmp_path))
    assert calibration.run() == Computing(), "without time nothing is chosen"
    assert not calibration.enough


@pytest.mark.full
def test_a_measurement_without_enough_time_is_not_kept_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, own_cache: Path
) -> None:
    monkeypatch.setattr(calibrate, "in_turns", lambda steps, until: {key: [0.1] for key in steps})
    assert calibrated(*prepared(folder=tmp_path)) == Computing()
    assert not list(own_cache.glob("performance/*.json"))
    assert "raise performance.seconds" in caplog.text


def test_a_setting_that_changes_the_gradient_too_much_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(calibrate, "native_bfloat16", lambda: True)
    monkeypatch.setattr(calibrate, "in_turns", quick)
    found = Calibration(*prepared("performance.gradient=1e-9", folder=tmp_path)).run()
    assert found == Computing(fused=True)
    assert "performance: precision bf16-mixed is left out: loss" in caplog.text


def test_an_operation_that_the_precision_lacks_leaves_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    losses = Trial.losses

    def lacking(self: Trial) -> dict[str, torch.Tensor]:
        if self.setting.precision == "bf16-mixed":
            raise RuntimeError("not implemented for 'BFloat16'")
        return losses(self)

    monkeypatch.setattr(Trial, "losses", lacking)
    monkeypatch.setattr(calibrate, "native_bfloat16", lambda: True)
    monkeypatch.setattr(calibrate, "in_turns", quick)
    assert Calibration(*prepared(folder=tmp_path)).run() == Computing(fused=True)
    assert "precision bf16-mixed is left out: not implemented for 'BFloat16'" in caplog.text


def test_differences_are_those_of_a_loop_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 2), (5,), (1,)]
    one = [torch.randn(shape, generator=generator) for shape in shapes]
    other = [each + 0.01 * torch.randn(each.shape, generator=generator) for each in one]
    apart = size = 0.0
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True):
            apart, size = apart + (x - y) ** 2, size + x**2
    found = difference(({"a": 2.0, "b": 1.0}, [*one, None]), ({"a": 2.1, "b": 0.8}, [*other, None]))
    assert found.gradient == pytest.approx(np.sqrt(apart / size), rel=1e-12)
    assert found.loss == pytest.approx(0.2, rel=1e-12)
    assert difference(({"a": 1.0}, [torch.zeros(2)]), ({"a": 1.0}, [torch.ones(2)])).gradient == inf
    assert not difference(({"a": float("nan")}, one), ({"a": 1.0}, one)).within(1.0, 1.0)
    assert not difference(({"a": 1.0}, one), ({"a": float("nan")}, one)).within(1.0, 1.0)


@pytest.mark.parametrize(
    ("limit", "turns"),
    [(0.0, 0), (4.0, 0), (8.0, 3), (9.9, 3), (10.0, 4), (1000.0, MOST_TURNS)],  # a turn of both takes 2 s
)
def test_settings_are_timed_in_turns_within_the_limit(limit: float, turns: int) -> None:
    now = [0.0]
    order: list[str] = []

    def step(name: str, seconds: float) -> Callable[[], None]:
        def do() -> None:
            order.append(name)
            now[0] += seconds

        return do

    steps = {Computing(): step("exact", 1.5), HALF: step("half", 0.5)}
    times = in_turns(steps, limit, lambda: now[0])
    assert times == {Computing(): [1.5] * turns, HALF: [0.5] * turns}
    assert order == ["exact", "half"] * (turns + 1), "the first step of each warms up"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trainer.precision=auto",), "trainer.precision is auto, but performance=exact chooses none"),
        (("performance=auto", "performance.loss=0"), "performance.loss is 0, but must be a number above 0"),
        (("performance=auto", "performance.seconds=-1"), "performance.seconds is -1, but must be a number above 0"),
        (("performance=auto", "performance.gradient=nan"), "performance.gradient is nan"),
        (("performance=auto", "performance.name=slow"), "performance.name is 'slow', but must be exact, auto or fast"),
        (("performance.name=auto",), "performance.gradient has no value; choose performance=auto as a whole"),
        (("+performance.loss=0.1",), "performance.loss is unknown; performance=exact has no options"),
    ],
)
def test_what_contradicts_is_refused(words: Sequence[str], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_config(configuration(*words))
    assert message in str(raised.value)


def test_the_hash_holds_the_word_and_exact_is_neutral() -> None:
    exact = configuration()
    assert run_hash({key: value for key, value in exact.items() if key != "performance"}) == run_hash(exact)
    words = [(), ("performance=auto",), ("performance=fast",), ("performance=auto", "trainer.precision=32-true")]
    assert len({run_hash(configuration(*each)) for each in words}) == len(words)
