"""Decisions of a run: fitted when training ends, kept in its checkpoint, applied by every command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

import tandem
from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.export import export_run
from tandem.runs.decisions import KEY
from tandem.runs.restore import restore
from tandem.train.run import train
from tandem.utils.artifacts import BEST, RESULTS

pytest.importorskip("rankseg", reason="the extra rankdice is not installed")

SMALL = ["experiment=tiny", "logger=none", "callbacks.panels=null", "trainer.enable_progress_bar=false"]
SMALL += ["data.train=24", "data.val=12", "data.test=12", "data.seed=3", "optimizer.lr=1e-2", "trainer.max_epochs=2"]
FITTED = "decide=[temperature,rankdice,postprocess,sensitivity:0.7]"


def composed(*words: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", overrides=[*SMALL, *words]))


def trained(folder: Path, *words: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return train(composed(*words), folder)


def test_by_default_the_hash_is_that_of_runs_before() -> None:
    config = composed()
    assert config["decide"] == "threshold"
    assert run_hash(config) == run_hash({key: value for key, value in config.items() if key != "decide"})
    assert run_hash(config) != run_hash(composed("decide=rankdice"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("decide=rankdise",), "did you mean 'rankdice'"),
        (("decide=stored",), "decide is 'stored'"),
        (("decide=rankdice", "task=classification"), "rankdice needs a task with masks"),
        (("decide=postprocess", "task=classification"), "postprocess needs a task with yes/no masks"),
        (("decide=temperature", "task=regression"), "needs a task with probabilities"),
        (("decide=[ppv:0.8]", "task=classification"), "no task of this run has a threshold"),
        (("decide=[ppv:8]",), r"no wanted value: write threshold=sensitivity:0\.95"),
    ],
)
def test_what_cannot_be_decided_is_refused_before_training(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, *words)
    assert not (tmp_path / BEST).exists()


@pytest.mark.full
def test_every_command_applies_what_the_checkpoint_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Callable[..., Any]
) -> None:
    from tandem.evaluate import main as evaluate

    run = tmp_path / "run"
    results = trained(run, FITTED)
    stored = torch.load(run / BEST, weights_only=True)[KEY]
    assert stored == results["decisions"] == json.loads((run / RESULTS).read_text())["decisions"]
    found = stored["segmentation"]
    assert (found["rule"], found["wanted"], found["images"]) == ("rankdice", "sensitivity:0.7", 12)
    assert "fitted on 12 validation images" in (run / "report.html").read_text()

    plain = trained(tmp_path / "plain")
    assert results["metrics"] == pytest.approx(plain["metrics"], nan_ok=True)  # a decision is fitted, not trained
    assert results["thresholds"] == plain["thresholds"]

    done = in_process(evaluate)(f"run={run}", "samples=20", "cases=0", "page=false")
    assert done.code == 0, done.err
    assert "decision of segmentation: rankdice, threshold for sensitivity:0.7" in done.out
    metrics = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())
    assert metrics["decisions"] == stored

    image = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    answer = tandem.load(run, device="cpu").predict(image)[0]["segmentation"]
    assert answer.question.decision == restore(run).decisions["segmentation"]
    assert answer.question.thresholds == pytest.approx(found["thresholds"])
    with pytest.raises(ConfigError, match="decided by rankdice"):
        export_run(run, "torch", tmp_path / "model.pt2")
    export_run(run, "torch", tmp_path / "model.pt2", decide="threshold")


@pytest.mark.full
def test_an_interrupted_run_ends_with_the_same_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(tmp_path / "whole", FITTED)
    stop = {"now": True}

    def killed(*arguments: Any, **options: Any) -> Any:
        if stop["now"]:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    import tandem.train.decide as decide

    original = decide.fit_decisions
    monkeypatch.setattr(decide, "fit_decisions", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", FITTED)
    assert not (tmp_path / "cut" / RESULTS).exists()
    stop["now"] = False
    assert trained(tmp_path / "cut", FITTED)["decisions"] == whole["decisions"]
    shutil.rmtree(tmp_path / "cut")
