"""A run with `trainer.precision=64-true` keeps its weights in float64, from the first step to its evaluation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.faults.setups import PHANTOM, left, run

from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import read_settings
from tandem.predict.predictor import load
from tandem.runs.restore import restore


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that averages its weights."""
    folder = tmp_path_factory.mktemp("double") / "run"
    run([*PHANTOM, "trainer.precision=64-true", "callbacks=ema", "trainer.max_epochs=1"], folder)
    return folder


def test_the_average_is_not_rounded_to_float32(trained: Path) -> None:
    weights = [value for value in left(trained).weights.values() if value.dtype == torch.float64]
    assert any(bool((value != value.float()).any()) for value in weights)
    assert {value.dtype for value in restore(trained).module.parameters()} == {torch.float64}


def test_an_evaluation_gives_the_metrics_of_the_run(trained: Path) -> None:
    asked = {"run": str(trained), "split": "test", "threshold": "stored", "batch_size": None, "device": "cpu"}
    more = {"masks": False, "cases": 1, "page": True, "samples": 20, "seed": 0, "data": None}
    found = evaluate_run(read_settings({**asked, **more}))["metrics"]
    known = {key: value for key, value in left(trained).results["metrics"].items() if key.startswith("test/")}
    assert {key: found[key] for key in known} == known


def test_it_predicts(trained: Path) -> None:
    (prediction,) = load(trained, device="cpu").predict([np.zeros((32, 32), np.uint8)])
    assert prediction["segmentation"].mask.shape == (1, 32, 32)
