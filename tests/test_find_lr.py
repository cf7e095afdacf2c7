"""The search for a learning rate: what it suggests, what it leaves, and what it refuses."""

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from PIL import Image

from tandem.config import register, resolve
from tandem.errors import ConfigError
from tandem.find_lr import Suggestion, find_lr, main, suggest, write_suggestion
from tandem.shipped import config_folder

TINY = ["experiment=tiny", "data.train=16", "data.val=12", "data.test=12", "data.seed=3", "find_lr.steps=24"]


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


def test_what_comes_after_divergence_does_not_count() -> None:
    losses = valley(1e-3)
    losses[80] = math.nan
    found = suggest(rates(), losses)
    assert abs(math.log10(found.rate / 1e-3)) < 0.1
    assert len(found.smooth) == 80


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([*np.linspace(1, 2, 100)], "fell nowhere between find_lr.low=1e-06"),
        ([1.0] * 100, "fell nowhere"),
        ([1.0] * 5 + [math.nan] * 95, "finite for 5 steps only; lower find_lr.low"),
        ([], "finite for 0 steps only"),
    ],
)
def test_a_loss_that_falls_nowhere_is_an_error(losses: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        suggest(rates(), losses)


def test_the_curve_is_kept_as_picture_and_table(tmp_path: Path) -> None:
    losses = valley(1e-3)
    losses[-3:] = [math.inf, math.nan, 1.0]
    write_suggestion(suggest(rates(), losses), tmp_path)
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rate"]) for row in rows] == rates()
    assert float(rows[50]["loss"]) == losses[50]
    assert rows[-1]["smooth"] == "nan"
    assert json.loads((tmp_path / "find_lr.json").read_text())["suggestion"] == pytest.approx(1e-3, rel=0.3)
    with Image.open(tmp_path / "curve.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


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
def test_it_works_for_every_choice_and_leaves_no_checkpoint(typed: list[str], tmp_path: Path) -> None:
    register("find_lr")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("find_lr", [*TINY, *typed]))
    try:
        found = find_lr(config, tmp_path)
    except ConfigError as error:  # so few steps on so few pictures may go nowhere; that they were made is the point
        assert "fell nowhere" in str(error)
    else:
        assert isinstance(found, Suggestion)
        assert found.rates[0] == pytest.approx(1e-6)
        assert found.rates == sorted(found.rates)
        assert len(found.rates) == len(found.losses)
    assert not list(tmp_path.rglob("*.ckpt"))


def call(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["find_lr.py", *arguments])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    GlobalHydra.instance().clear()
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        register()
    return 0
