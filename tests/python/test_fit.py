"""`tandem.fit` is the command: the same folder, files and numbers."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tandem
from tandem.errors import ConfigError, DataError
from tandem.python.figures import FigureImage

TINY = [
    *("experiment=tiny", "data.train=12", "data.val=12", "data.test=12", "data.seed=3", "trainer.max_epochs=1"),
    *("trainer.enable_progress_bar=false", "logger=none"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_trained_answered_and_read(tmp_path: Path) -> None:
    root, state = logging.getLogger(), torch.get_rng_state()
    exact = torch.are_deterministic_algorithms_enabled()
    handlers, level = root.handlers[:], root.level
    run = tandem.fit(tandem.compose(TINY))
    assert (root.handlers, root.level) == (handlers, level)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.are_deterministic_algorithms_enabled() == exact
    assert "epoch 0/0" in (run.folder / "train.log").read_text()
    assert run.overrides == tuple(TINY)

    written = {path: path.stat().st_mtime_ns for path in (run.folder / "results.json", run.folder / "best.ckpt")}
    assert tandem.fit(tandem.compose(TINY)) == run
    assert {path: path.stat().st_mtime_ns for path in written} == written, "answered, not trained"

    assert run.history["epoch"] == [0]
    assert run.history["val/loss"] == [pytest.approx(run.metrics["val/loss"], abs=1e-6)]
    curve = run.curves["val/segmentation"]
    assert max(curve["dice_global"]) == pytest.approx(run.metrics["val/segmentation/dice"], abs=1e-6)
    assert isinstance(run.figures["loss"], FigureImage)
    assert run.figures["val/segmentation"].save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "balanced accuracy" in run._repr_html_()
    with pytest.raises(DataError, match=r"evaluate the split with run.evaluate\('val'\)"):
        run.predictions("val")
    with pytest.raises(ConfigError, match="unknown key 'maks'"):
        run.evaluate("val", maks=False)


@pytest.mark.full
def test_the_run_is_that_of_the_command(tandem_train: Any) -> None:
    run = tandem.fit(tandem.compose([*TINY, "name=python"]))
    assert tandem_train(*TINY, "name=typed").code == 0
    (typed,) = tandem.find_runs("runs", name="typed")
    assert names(run.folder) == names(typed.folder)
    assert run.hash == typed.hash == run.folder.name
    for key, value in typed.metrics.items():
        assert run.metrics[key] == value or (math.isnan(run.metrics[key]) and math.isnan(value)), key
    mine, theirs = (json.loads((one.folder / "status.json").read_text()) for one in (run, typed))
    assert {**mine, "overrides": 0, "process": 0} == {**theirs, "overrides": 0, "process": 0}
    assert tandem_train(*TINY, "name=python").code == 0, "each answers for the other"

    found = run.evaluate("val", page=False, masks=False, samples=10)
    assert found["metrics"]["val/segmentation/dice"] == pytest.approx(run.metrics["val/segmentation/dice"], abs=1e-6)
    assert run.predictions("val").height == 12
    (prediction,) = run.load(device="cpu").predict(torch.zeros(1, 40, 48))
    (same,) = tandem.load(tandem.find_runs("runs", name="python"), device="cpu").predict(torch.zeros(1, 40, 48))
    assert (same["segmentation"].mask == prediction["segmentation"].mask).all()
    assert prediction["segmentation"].mask.shape == (1, 40, 48)


def test_a_refused_run_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tandem.compose(["data=folder", "data.root=nowhere", "name=a/b"])
    with pytest.raises(DataError, match="nowhere"):
        tandem.fit(config)
    assert capsys.readouterr().err == "", "an exception says it all"
    assert not (tmp_path / "runs").exists()


def test_a_configuration_that_has_changed_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tandem.compose(TINY)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(ConfigError, match="has changed since it was composed"):
        tandem.fit(config)


def test_something_else_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"fit takes what tandem.compose returns, not a dict"):
        tandem.fit({"seed": 1})  # type: ignore[arg-type]
