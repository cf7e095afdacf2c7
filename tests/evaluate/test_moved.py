"""A run is evaluated from anywhere: roots are kept absolute, and the run's own splits serve."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.config.places import absolute_paths, stored_config
from tandem.errors import DataError
from tandem.evaluate.command import evaluate_run

WORDS = ("task=segmentation", "data.size=32")


@pytest.fixture
def moved(
    trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_of: Callable[..., Path]
) -> Callable[..., Path]:
    """Trains on a relative root and a relative split file in `start`; the run and the working directory then move."""

    def make(*words: str) -> Path:
        start, other = tmp_path / "start", tmp_path / "other"
        trees.folders(start / "set", 8)
        other.mkdir()
        rows = [f"{label}/a{n},{('train', 'val', 'test')[n % 3]}" for label in trees.classes for n in range(8)]
        (start / "splits.csv").write_text("\n".join(["id,split", *rows]) + "\n")
        monkeypatch.chdir(start)
        run = run_of(tmp_path / "start" / "run", *WORDS, *words)
        monkeypatch.chdir(other)
        shutil.move(run, other / "run")
        (start / "splits.csv").unlink()
        return Path("run")

    return make


FOLDER = ("data=folder", "data.root=set", "data.split_file=splits.csv")
MIXED = (
    "data=mixed", "data@data.sources.first=folder", "data.sources.first.root=set",
    "data.sources.first.split_file=splits.csv", "data.sources.first.size=32", "data@data.sources.second=phantom",
    "data.sources.second.size=32",
)  # fmt: skip


@pytest.mark.parametrize("words", [FOLDER, pytest.param(MIXED, marks=pytest.mark.full)], ids=["folder", "mixed"])
def test_a_moved_run_finds_its_data_and_splits(
    moved: Callable[..., Path], asked: Callable[..., Any], tmp_path: Path, words: tuple[str, ...]
) -> None:
    run = moved(*words)
    results = json.loads((run / "results.json").read_text())
    key = "data.root" if words is FOLDER else "data.sources.first.root"
    assert results["paths"][key] == str(tmp_path / "start" / "set")
    found = evaluate_run(asked(run, page=False, masks=False))
    assert found["metrics"]["test/segmentation/dice"] == pytest.approx(
        results["metrics"]["test/segmentation/dice"], abs=1e-6
    )
    shutil.move(tmp_path / "start" / "set", tmp_path / "set")
    with pytest.raises(DataError, match=r"start/set.*if the data were moved, give their folder with data\.root"):
        evaluate_run(asked(run, page=False, masks=False))
    if words is FOLDER:
        again = evaluate_run(asked(run, page=False, masks=False, data={"root": "../set"}))
        assert again["metrics"] == pytest.approx(found["metrics"], nan_ok=True)


def test_what_was_typed_counts_where_the_old_place_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "set").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    config: dict[str, Any] = {"data": {"root": "set", "groups": "none"}, "network": {"weights": None}}
    paths = absolute_paths(config)
    assert paths == {"data.root": str(tmp_path / "here" / "set")}
    results = {"config": config, "paths": paths}
    assert stored_config(results)["data"]["root"] == paths["data.root"]
    assert config["data"]["root"] == "set"
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    assert stored_config(results)["data"]["root"] == "set"
    monkeypatch.chdir(tmp_path)
    assert stored_config(results)["data"]["root"] == paths["data.root"], "named in full by the error"
    assert stored_config({"config": config}) == config
