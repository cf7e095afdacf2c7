"""A run of version 0.1.0, kept with its checkpoints: it is still found, read, evaluated, predicted with and resumed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tandem
from tandem.config.identity import run_hash
from tandem.errors import DataError
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import read_settings
from tandem.study.runs import read_study
from tandem.train.run import train
from tandem.utils.artifacts import SCHEMA

KEPT = Path(__file__).parent / "run_0.1.0"

CORRECTED = {
    "segmentation/pixel_auroc": "bins of a fixed width were off by up to .23; they adapt to the probabilities now",
    "segmentation/pixel_ap": "the same bins, off by up to .47",
}
"""Numbers that 0.1.0 computed less exactly, by name without the stage, and why: they are not compared."""


def comparable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Those with a value that 0.1.0 computed as it is computed today."""
    corrected = {f"{stage}/{key}" for stage in ("train", "val", "test") for key in CORRECTED}
    return {key: value for key, value in metrics.items() if value is not None and key not in corrected}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the run's folder, under its own name."""
    results = json.loads((KEPT / "results.json").read_text(encoding="utf-8"))
    return Path(shutil.copytree(KEPT, tmp_path / "runs" / "kept" / results["hash"]))


def results_of(run: Path) -> dict[str, Any]:
    """Content of its `results.json`."""
    found: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return found


def test_its_configuration_has_the_same_hash(run: Path) -> None:
    assert run_hash(results_of(run)["config"]) == run.name


def test_a_study_reads_it(run: Path) -> None:
    (found,) = read_study([run.parent]).runs
    assert found.metrics["test/segmentation/dice"] == results_of(run)["metrics"]["test/segmentation/dice"]


def test_it_answers(run: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    (prediction,) = tandem.load(run, device="cpu").predict([image])
    assert prediction["classification"].name in ("normal", "benign", "malignant")
    assert prediction["segmentation"].mask.shape == (1, 32, 32)


def test_an_evaluation_gives_its_numbers(run: Path) -> None:
    asked = {"run": str(run), "split": "test", "threshold": "stored", "batch_size": None, "device": "cpu"}
    more = {"masks": False, "cases": 0, "page": False, "samples": 20, "seed": 0, "data": None}
    found = evaluate_run(read_settings({**asked, **more}))["metrics"]
    kept = {key: value for key, value in results_of(run)["metrics"].items() if key.startswith("test/")}
    known = comparable(kept)
    assert {key: found[key] for key in known} == pytest.approx(known, abs=1e-5)
    assert [key for key, value in kept.items() if value is None] == [key for key in kept if found[key] is None]


def test_training_goes_on_from_its_last_checkpoint(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[2])
    before = results_of(run)
    (run / "results.json").unlink()
    again = train(before["config"], run)
    assert again["resumed"]
    known = comparable(before["metrics"])
    assert {key: again["metrics"][key] for key in known} == pytest.approx(known, abs=1e-5)
    assert results_of(run)["schema"] == SCHEMA


def test_a_run_of_a_later_version_is_refused_by_its_name(run: Path) -> None:
    results = results_of(run)
    (run / "results.json").write_text(json.dumps({**results, "schema": SCHEMA + 1}), encoding="utf-8")
    with pytest.raises(DataError, match=r"results\.json was written by a later tandem"):
        tandem.load(run, device="cpu")
    (left,) = read_study([run.parent]).unfinished
    assert "later tandem" in left.reason
