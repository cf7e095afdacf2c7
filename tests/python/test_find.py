"""Runs are found by folder, name, state and options; a damaged one hides no other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import tandem
from tandem.errors import ConfigError
from tandem.python.find import Runs
from tandem.utils.digests import recorded
from tandem.utils.files import read_json, write_json

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a run's folder: `make("name/hash", seed, dice)`; without a Dice it has failed."""
    monkeypatch.chdir(tmp_path)

    def made(place: str, seed: int, dice: float | None = None, *typed: str) -> Path:
        folder = tmp_path / "runs" / place
        folder.mkdir(parents=True)
        state: dict[str, object] = {"state": "failed" if dice is None else "finished", "sweep": None, "job": 0}
        (folder / "status.json").write_text(json.dumps({**state, "overrides": [f"seed={seed}", *typed], "error": "no"}))
        if dice is not None:
            config = {"seed": seed, "optimizer": {"lr": 0.1}, "tasks": {"lesion": {}}}
            results: dict[str, object] = {
                "name": place.split("/")[0],
                "hash": folder.name,
                "config": config,
                "monitor": "val/lesion/dice",
            }
            results |= {"metrics": {"val/lesion/dice": dice, "val/lesion/loss": 0.5}, "curves": {}, "best_epoch": 0}
            (folder / "results.json").write_text(json.dumps(results))
        return folder

    made("a/1", 0, 0.5, "loss/binary@tasks.lesion.loss=dice")
    made("a/2", 1, 0.75, "+extra=[1,2]")
    made("b/3", 0, 0.25, "name=b")
    made("b/4", 0)
    return made


def hashes(runs: Runs) -> str:
    return "".join(run.folder.name for run in runs)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "123"),
        ({"state": None}, "1234"),
        ({"state": "failed"}, "4"),
        ({"name": "b"}, "3"),
        ({"name": "b", "state": None}, "34"),
        ({"folders": "runs/a"}, "12"),
        ({"folders": ["runs/b", "runs/[a]", "runs"]}, "123"),
        ({"where": ["seed=0"]}, "13"),
        ({"where": {"seed": 0}, "state": None}, "134"),
        ({"where": ["optimizer.lr=0.1", "seed=1"]}, "2"),
        ({"where": ["loss/binary@tasks.lesion.loss=dice"]}, "1"),
        ({"where": ["extra=[1,2]"]}, "2"),
        ({"where": {"extra": [1, 2]}}, "2"),
        ({"where": ["seed=0,1"]}, "123"),
        ({"where": ["lr=0.10"]}, "123"),
        ({"where": {"optimizer.lr": 0.1, "seed": 1}}, "2"),
        ({"name": "[ab]", "where": {"seed": 0}}, "13"),
        ({"where": "seed=7"}, ""),
        ({"where": ["nothing.at.all=1"]}, ""),
    ],
)
def test_filters(make: Make, asked: dict[str, object], expected: str) -> None:
    assert hashes(tandem.find_runs(**asked)) == expected  # type: ignore[arg-type]


def test_a_damaged_run_hides_no_other(make: Make) -> None:
    (make("a/5", 0, 0.1) / "results.json").write_text("{")
    assert hashes(tandem.find_runs("runs/a")) == "12"
    (broken,) = tandem.find_runs("runs/a", state="unreadable")
    assert broken.folder.name == "5"


def test_a_run_whose_results_were_changed_is_told(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    results = make("a/6", 0, 0.1) / "results.json"
    with recorded(results.parent):
        write_json(results, read_json(results))
    results.write_text(results.read_text().replace("0.1", "0.9"))
    runs = tandem.find_runs("runs/a", state=None)
    assert dict(zip(runs.table()["run"], runs.table()["state"], strict=True))["a/6"] == "unreadable"
    assert hashes(tandem.find_runs("runs/a", name="a")) == "12"
    assert "left out: " in caplog.text


def test_mistakes_are_told(make: Make) -> None:
    with pytest.raises(ConfigError, match="there is no folder 'nowhere'"):
        tandem.find_runs("nowhere")
    with pytest.raises(ConfigError, match="write key=value"):
        tandem.find_runs(where=["seed"])
    (failed,) = tandem.find_runs(state="failed")
    with pytest.raises(ConfigError, match="is no finished run"):
        _ = failed.metrics
    assert failed.history.height == 0


def test_runs_are_shown_as_a_table(make: Make) -> None:
    make("a/<b>", 0, 0.125, "name=<script>")
    runs = tandem.find_runs(state=None)
    rows = runs.table().rows()
    assert [row["val/lesion/dice"] for row in rows[:2]] == [0.5, 0.75]
    assert runs.table("val/lesion/loss")["val/lesion/loss"][0] == 0.5
    assert isinstance(runs[:2], Runs)
    shown = runs._repr_html_() + "".join(run._repr_html_() for run in runs if run.state.state == "failed")
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "0.125" in shown
