"""The learning-rate range test: its suggestion, its files and its errors."""

import csv
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.find_lr.command import Suggestion, find_lr, main, suggest, write_suggestion

Command = Callable[..., Any]

TINY = ["experiment=tiny", "data.train=16", "data.val=12", "data.test=12", "data.seed=3", "find_lr.steps=24"]


@pytest.fixture(autouse=True)
def the_root_of_training() -> Iterator[None]:
    """Other tests in this process compose what is trained."""
    yield
    register()


def rates(count: int = 100, low: float = 1e-6, high: float = 1.0) -> list[float]:
    return list(np.geomspace(low, high, count))


def valley(at: float, noise: float = 0.0) -> list[float]:
    """A loss that falls by a logistic curve around `at`, and explodes two decades above it."""
    rng = np.random.default_rng(0)
    x = np.log10(rates()) - math.log10(at)
    return list(1.0 - 0.8 / (1 + np.exp(-4 * x)) + np.exp(4 * (x - 2)) + noise * rng.standard_normal(len(x)))


@pytest.mark.parametrize("at", [1e-4, 1e-3, 1e-2])
def test_the_steepest_descent_is_found(at: float) -> None:
    found = suggest(rates(), valley(at))
    assert abs(math.log10(found.rate / at)) < 0.1
    noisy = suggest(rates(), valley(at, noise=0.02))
    assert abs(math.log10(noisy.rate / at)) < 0.5, "noise at the smallest rates does not win"


def test_losses_after_divergence_are_ignored() -> None:
    losses = valley(1e-3)
    losses[-1] = 0.0  # however low
    found = suggest(rates(), losses)
    assert abs(math.log10(found.rate / 1e-3)) < 0.1
    assert 80 < len(found.smooth) < 100
    losses[60] = math.nan
    assert len(suggest(rates(), losses).smooth) == 60


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([*np.linspace(1, 2, 100)], "did not fall between find_lr.low=1e-06"),
        ([1.0] * 100, "did not fall"),
        ([1.0] * 5 + [math.nan] * 95, "finite for only 5 steps; lower find_lr.low"),
        ([], "finite for only 0 steps"),
    ],
)
def test_a_loss_that_never_falls_is_an_error(losses: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        suggest(rates(), losses)


def test_the_curve_is_written_as_figure_and_table(tmp_path: Path) -> None:
    losses = valley(1e-3)
    losses[-3:] = [math.inf, math.nan, 1.0]
    write_suggestion(suggest(rates(), losses), tmp_path)
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rate"]) for row in rows] == rates()
    assert float(rows[50]["loss"]) == losses[50]
    assert rows[-1]["smooth"] == "nan"
    assert json.loads((tmp_path / "find_lr.json").read_text())["suggestion"] == pytest.approx(1e-3, rel=0.3)
    with Image.open(tmp_path / "curve.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.parametrize(
    "typed",
    [
        ["scheduler=plateau", "balance=uncertainty"],
        ["task=classification", "trainer.accumulate_grad_batches=2", "optimizer=sgd"],
        ["task=segmentation", "data.without_mask=0.6", "loader.batch_size=2", "scheduler=cosine"],
        ["balance=pcgrad"],
    ],
    ids=" ".join,
)
def test_it_works_for_every_choice_and_leaves_no_checkpoint(
    typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # so few steps on so few images may suggest nothing
    monkeypatch.setattr("tandem.find_lr.command.suggest", lambda rates, losses: Suggestion(1.0, rates, losses, []))
    register("find_lr")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("find_lr", [*TINY, *typed]))
    (tmp_path / ".lr_find_0.ckpt").write_bytes(b"of a search that was killed")
    found = find_lr(config, tmp_path)
    assert 1e-6 <= found.rates[0] < 1e-5
    assert len(found.rates) > 12, "a step without any target has no loss"
    assert found.rates == sorted(found.rates)
    assert len(found.rates) == len(found.losses)
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.fixture
def search(in_process: Callable[[Callable[[], None]], Command]) -> Command:
    """`find_lr.py` in this process."""
    return in_process(main)


FALLS = [*TINY, "task=segmentation", "find_lr.low=1e-4"]
"""A search in which the loss falls."""


def test_the_command_prints_the_option_and_reuses_its_result(search: Command, tmp_path: Path) -> None:
    first = search(*FALLS)
    assert first.code == 0, first.err
    assert re.search(r"^suggested learning rate: optimizer.lr=[\d.e-]+ \(currently 0.0001\)$", first.out, re.MULTILINE)
    assert re.search(r"is lowest at [\d.e-]+; one search of 24 steps, seed 0$", first.out, re.MULTILINE)
    following = re.findall(r"^next: tandem-train (.*)$", first.out, re.MULTILINE)
    assert "optimizer.lr=" in following[0]
    assert "find_lr" not in following[0]
    (folder,) = (tmp_path / "runs" / "find_lr").iterdir()
    kept = {path.name for path in folder.iterdir() if path.is_file()}
    assert kept == {"curve.csv", "curve.png", "find_lr.json", "find_lr.log", "status.json", ".lock"}
    before = (folder / "curve.csv").stat().st_mtime_ns
    assert search(*FALLS).out == first.out
    assert (folder / "curve.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["find_lr.low=2"], "find_lr.low=2.0, high=1.0, steps=24: need 0 < low < high and steps >= 20"),
        (["find_lr.steps=3"], "steps >= 20"),
        (["find_lr.lowest=1"], "unknown key 'find_lr.lowest': did you mean 'low'?"),
        (["~optimizer.lr"], "optimizer has no 'lr'"),
        (["experimnt=tiny"], "experimnt"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_folder(
    typed: list[str], message: str, search: Command, tmp_path: Path
) -> None:
    outcome = search(*TINY, *typed)
    assert outcome.code == 1
    assert message in outcome.error
    assert not (tmp_path / "runs").exists()


def test_training_rejects_the_options_of_the_search(tandem_train: Command) -> None:
    assert "unknown key 'find_lr'" in tandem_train("experiment=tiny", "find_lr.low=1").error
