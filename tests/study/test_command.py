"""`scripts/study.py`: what it leaves, what it says, and what it refuses in one line."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.study import main
from tandem.study.command import PAGE
from tandem.utils.written import MARKER

DICE = "test/segmentation/dice"

InProcess = Callable[[Callable[[], None]], Callable[..., Any]]


@pytest.fixture
def study(in_process: InProcess, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("COLUMNS", "160")
    return in_process(main)


def test_files_and_terminal(make: Any, study: Callable[..., Any]) -> None:
    make.grid(gammas=(1.0, 2.0, 3.0), seeds=2, weights=(0.5, 1.0, 2.0))
    done = study("runs/made", "--baseline", "gamma=1", "alpha=0.25", "weights.segmentation=1")
    assert (done.code, done.err) == (0, "")
    assert "54 runs in 27 cells" in done.out
    assert done.out.count("± 0.001") == 54, "on validation and on test data"
    assert done.out.count(" † ") == 1
    left = {path.name for path in (make.folder / "study").iterdir()}
    tables = {f"{name}.{suffix}" for name in ("table", "comparison") for suffix in ("csv", "md", "tex")}
    assert left == {*tables, "runs.csv", PAGE, MARKER}


def test_again_without_a_baseline_leaves_no_comparison(make: Any, study: Callable[..., Any]) -> None:
    make.grid(seeds=1)
    study("runs/made", "--baseline", "gamma=1", "alpha=0.25")
    study("runs/made", "--metrics", "val/loss", DICE)
    assert not list((make.folder / "study").glob("comparison.*"))
    assert (make.folder / "study" / "table.csv").read_text().splitlines()[0].split(",")[3] == "val/loss"
    assert study("runs/made").out.count("cells") == 1, "its own files are no runs"


def test_several_folders_are_one_study_with_a_folder_of_its_own(
    make: Any, study: Callable[..., Any], tmp_path: Path
) -> None:
    make.grid(seeds=1)
    make.folder.rename(tmp_path / "runs" / "first")
    make({"tasks.segmentation.loss.gamma": 9.0}, {DICE: 0.7})
    study("runs/first")
    alone = (tmp_path / "runs" / "first" / "study" / "runs.csv").read_text()
    done = study("runs/first", "runs/made")
    assert "7 runs in 7 cells" in done.out
    (joint,) = (tmp_path / "runs" / "first").glob("study_with_made-*")
    assert f"page: runs/first/{joint.name}/{PAGE}" in done.out
    assert len((joint / "runs.csv").read_text().splitlines()) == 8
    assert (tmp_path / "runs" / "first" / "study" / "runs.csv").read_text() == alone
    (tmp_path / "other").mkdir()
    shutil.copytree(make.folder, tmp_path / "other" / "made")
    study("runs/first", "other/made")
    assert len(list((tmp_path / "runs" / "first").glob("study_with_made-*"))) == 2, "another folder of that name"


def test_copies_are_named_and_counted_once_and_links_are_followed(
    make: Any, study: Callable[..., Any], tmp_path: Path
) -> None:
    make.grid(gammas=(1.0,), seeds=1)
    first = next(path.parent for path in sorted(make.folder.rglob("results.json")))
    shutil.copytree(first, make.folder / "backup" / "copy")
    shutil.move(make.folder / "000000000003", tmp_path / "elsewhere")
    (make.folder / "linked").symlink_to(tmp_path / "elsewhere")
    (make.folder / "again").symlink_to(first)
    done = study("runs/made")
    assert "3 runs in 3 cells" in done.out
    assert f"copy: runs/made/backup/copy is a copy of runs/made/{first.name} (same hash" in done.out
    assert done.out.count("copy: ") == 1, "a link is no copy"
    file = make.folder / "backup" / "copy" / "results.json"
    results = json.loads(file.read_text())
    results["metrics"][DICE] += 0.1
    file.write_text(json.dumps(results))
    error = study("runs/made").error
    assert f"runs/made/{first.name} have the same hash" in error or f"runs/made/{first.name} and" in error
    assert f"but other metrics ({DICE}: " in error


def test_jobs_that_were_planned_and_never_started_are_listed(make: Any, study: Callable[..., Any]) -> None:
    make({"seed": 0}, {DICE: 0.5}, name="one")
    make.status(make.folder / "two", "failed", error="no")
    plan = {name: {"command": "tandem.train", "overrides": [f"seed={n}"]} for n, name in enumerate(("one", "two", "x"))}
    plan["y"] = {"command": "tandem.find_lr", "overrides": []}
    (make.folder / "planned.json").write_text(json.dumps(plan))
    done = study("runs/made")
    assert "never started: x (seed=2): planned by a sweep" in done.out
    assert "1 run in 1 cell, 1 failed, 1 never started" in " ".join(done.out.split())


def test_nothing_is_missing_beside_the_trials_of_a_search(make: Any, study: Callable[..., Any]) -> None:
    for number, gamma in enumerate((1.0, 1.5, 2.5)):
        make({"seed": 0, "tasks.segmentation.loss.gamma": gamma}, {DICE: 0.5 + gamma / 10}, name=f"trial{number}")
    for seed in (1, 2):
        make({"seed": seed, "tasks.segmentation.loss.gamma": 2.5}, {DICE: 0.7 + seed / 100})
    assert "missing: gamma=1: seed 1" in study("runs/made").out
    rows = "\n".join(["trial,folder", *(f"{number},/old/place/trial{number}" for number in range(3))])
    (make.folder / "trials.csv").write_text(f"{rows}\n")
    done = study("runs/made")
    assert "missing" not in done.out
    assert "5 runs in 3 cells" in done.out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["runs/nothing"], "there is no folder runs/nothing; give the folder of a study, such as runs/focal_grid"),
        (["runs/empty"], "no run lies below runs/empty; give the folder of a study, such as runs/focal_grid"),
        (["runs/made", "--metrics", "test/segmentation/dise"], "did you mean 'test/segmentation/dice'?"),
        (["runs/made", "--baseline", "gama=1"], "did you mean 'gamma'?"),
        (["runs/nothing", "--watch"], "there is no folder runs/nothing; start the sweep first"),
        (["runs/made", "--watch", "--every", "0"], "--every is 0, but must be at least 1 second"),
        (["runs/made", "--wach"], "unrecognized arguments: --wach (see --help)"),
        ([], "the following arguments are required: FOLDER (see --help)"),
    ],
)
def test_mistakes_are_one_line(
    make: Any, study: Callable[..., Any], tmp_path: Path, typed: list[str], said: str
) -> None:
    make.grid(seeds=1)
    (tmp_path / "runs" / "empty").mkdir()
    done = study(*typed)
    assert done.code == 1
    assert said in done.error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"metrics": {}}, "has no 'config': written by an older version of tandem? train it again"),
        ({"config": {"seed": 0}, "metrics": {}}, "has no 'config.tasks'"),
        ({"config": {"tasks": {}}, "metrics": []}, "has no 'metrics'"),
        ([1], "has no 'config'"),
    ],
)
def test_results_of_another_version_are_refused(make: Any, study: Callable[..., Any], content: Any, said: str) -> None:
    folder = make.status(make.folder / "old", "finished")
    (folder / "results.json").write_text(json.dumps(content))
    assert said in study("runs/made").error
    make.grid(seeds=1)
    done = study("runs/made")
    assert done.code == 0, "one bad file hides no other"
    assert said in done.out


def test_a_study_of_failed_runs_says_why(make: Any, study: Callable[..., Any]) -> None:
    make.status(make.folder / "f", "failed", error="RuntimeError: out of memory")
    assert "(1 have none; runs/made/f is failed: RuntimeError: out of memory)" in study("runs/made").error


def test_without_plotly_the_tables_are_there(
    make: Any, study: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    make.grid(seeds=1)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert "pip install 'tandem-mtl[study]'" in study("runs/made").error
    assert (make.folder / "study" / "table.tex").exists()


def test_watching_waits_writes_and_ends_with_ctrl_c(
    make: Any, study: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make.status(make.folder / "r", "running")
    page = make.folder / "study" / PAGE
    pages: list[str] = []

    def sleep(seconds: float) -> None:
        assert seconds == 3
        pages.append(page.read_text() if page.exists() else "")
        if len(pages) == 1:
            make({"seed": 0}, {DICE: 0.5})
        elif len(pages) == 2:
            make({"seed": 1}, {DICE: 0.7})
        elif len(pages) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    done = study("runs/made", "--watch", "--every", "3")
    assert done.code == 0
    assert "waiting: no run below runs/made has results" in done.out
    assert [("location.reload(), 3000" in text, "seed 1: 0.7000" in text) for text in pages] == [
        (False, False), (True, False), (True, True), (True, True),
    ]  # fmt: skip
    assert "location.reload" not in page.read_text(), "what is left is still"
    assert done.out.count("2 runs in 1 cell") == 2, "nothing new is not said again, but at the end"


def test_watching_that_is_stopped_before_anything_finished_ends_quietly(
    make: Any, study: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    make.status(make.folder / "r", "running")
    monkeypatch.setattr(time, "sleep", stop)
    done = study("runs/made", "--watch")
    assert (done.code, done.err) == (0, "")
