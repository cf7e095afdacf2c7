"""Every command by what every other leaves behind: it takes it, or says in one line why it cannot."""

import csv
import fcntl
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import tandem
from tandem.errors import TandemError

Command = Callable[..., Any]
Left = Mapping[str, Path]

TAKEN = ""
"""The command works."""

NO_RUN = r"is not a run folder \(results.json is missing\)"
UNFINISHED = r"has not finished \(results.json is missing; "
NO_RESULTS = r"has results, but neither weights \(best.ckpt\) nor data.json, as in a paper's archive"

RUN = {
    "run": TAKEN,
    "copy": TAKEN,
    "link": TAKEN,
    "failed": f"{UNFINISHED}failed: data.root='nowhere' is not a folder",
    "interrupted": f"{UNFINISHED}interrupted: ",
    "killed": f"{UNFINISHED}killed: ",
    "cut": r"best.ckpt is damaged: its SHA-256 is not the one in ",
    "find_lr": f"{NO_RUN}, but a learning-rate search",
    "study": f"{NO_RUN}, but written by study",
    "runs": f"{NO_RUN}; it contains runs, such as ",
    "evaluation": NO_RUN,
    "predictions": f"{NO_RUN}, but predictions",
    "explain_loss": f"{NO_RUN}, but written by explain_loss",
    "audit": f"{NO_RUN}, but written by audit_data",
    "show_data": "is a file; give the folder that training printed",
    "archive": f"{NO_RUN}, but the archive of a paper, whose runs have no weights",
    "archived run": NO_RESULTS,
    "empty": NO_RUN,
    "file": "is a file; give the folder that training printed",
    "nothing": "there is no such folder",
}
"""What a command that takes a run says to what was left."""

STUDY = {
    "run": TAKEN,
    "copy": TAKEN,
    "link": TAKEN,
    "cut": TAKEN,
    "runs": TAKEN,
    "archive": TAKEN,
    "archived run": TAKEN,
    "failed": "has results that can be read .*is failed: data.root='nowhere'",
    "interrupted": "has results that can be read .*is interrupted: ",
    "killed": "has results that can be read .*is running",
    "show_data": "there is no folder",
    "file": "there is no folder",
    "nothing": "there is no folder",
    **dict.fromkeys(
        ("find_lr", "study", "evaluation", "predictions", "explain_loss", "audit", "empty"), "no run lies below"
    ),
}
"""What a study says to a copy of it."""

IMAGES = {
    "predictions": "is a folder of earlier predictions: give",
    "show_data": TAKEN,
    "evaluation": TAKEN,
    "nothing": "no such folder or file",
    "file": "none of 1 files could be predicted",
    "empty": "contains no files",
    "runs": "none of 2 files could be predicted",  # multirun.yaml and planned.json
    "study": "contains no files but",
    "audit": "contains no files but",
    **dict.fromkeys(
        ("run", "copy", "link", "failed", "interrupted", "killed", "cut", "find_lr", "explain_loss", "archived run"),
        "is the folder of a run: give a folder of images",
    ),
    "archive": "none of 1 files could be predicted",
}
"""What a prediction says to it as `images`."""

ARCHIVE = {
    "archive": r"was not made by reproduce.py \('jobs'\)",
    "file": "is not a readable zip file",
    "show_data": "is not a readable zip file",
    "nothing": "file not found",
    **dict.fromkeys(
        [name for name in RUN if name not in ("archive", "file", "show_data", "nothing")], "without paper.json"
    ),
}
"""What `reproduce archive=` says to it."""

SLOW = ("run", "copy", "link")
"""What works takes seconds: one of them in each table is enough for `make test`."""


def cells(table: Mapping[str, str], *, slow: tuple[str, ...] = SLOW[1:]) -> list[Any]:
    """The cells of a command as parameters; those in `slow` run in `make test-full` alone."""
    return [pytest.param(k, v, id=k, marks=[pytest.mark.full] if k in slow else []) for k, v in table.items()]


def check(done: Any, said: str) -> None:
    """Compares an outcome: success, or one line that says what is wrong and is no exception of Python."""
    if said == TAKEN:
        assert done.code == 0, done.err
        return
    assert done.code == 1
    line = done.err.splitlines()[-1]
    assert line.startswith("error: ")
    assert re.search(said, line), line
    assert not re.match(r"error: \w+(Error|Exception)\b", line), line
    assert "Traceback" not in done.err


def rows(table: Path) -> list[dict[str, str]]:
    """A csv file."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def copy_of(path: Path, place: Path) -> Path:
    """A copy of what was left, so that a command may write into it."""
    return Path(shutil.copytree(path, place / path.name) if path.is_dir() else path)


# ------------------------------------------------------------------------------------------------ commands on one run


@pytest.mark.parametrize(("name", "said"), cells(RUN))
def test_predict_takes_runs(command: Command, left: Left, trees: Any, tmp_path: Path, name: str, said: str) -> None:
    trees.save(tmp_path / "images" / "a.png", trees.noise(0))
    check(command("predict", f"run={left[name]}", "images=images", "out=out"), said)
    assert (tmp_path / "out").exists() == (said == TAKEN), "nothing is left of what was refused"


@pytest.mark.parametrize(("name", "said"), cells(RUN))
def test_evaluate_takes_runs_from_another_place(
    command: Command, left: Left, tmp_path: Path, name: str, said: str
) -> None:
    run = copy_of(left[name], tmp_path) if said == TAKEN else left[name]
    check(command("evaluate", f"run={run}", "samples=10", "page=false", "masks=false"), said)


@pytest.mark.parametrize(("name", "said"), cells(RUN, slow=SLOW))
def test_export_takes_runs(command: Command, left: Left, tmp_path: Path, name: str, said: str) -> None:
    check(command("export", f"run={left[name]}", "format=torch", "out=model.pt2"), said)
    assert (tmp_path / "model.pt2").exists() == (said == TAKEN)


@pytest.mark.full
@pytest.mark.parametrize(("name", "said"), cells(RUN))
def test_python_takes_runs(left: Left, name: str, said: str) -> None:
    if said == TAKEN:
        assert tandem.load(left[name]).questions
        return
    with pytest.raises(TandemError, match=said):
        tandem.load(left[name])


RESUMED = {
    **{name: said for name, said in RUN.items() if said != TAKEN and name not in ("cut", "archived run")},
    "run": "has trained 1 epochs already; give a larger trainer.max_epochs",
    "archived run": "lacks last.ckpt or best.ckpt, so it cannot be continued",
}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(k, v, id=k, marks=[pytest.mark.full] * (k not in ("run", "failed", "study")))
        for k, v in RESUMED.items()
    ],
)
def test_train_continues_runs(command: Command, left: Left, week: Path, name: str, said: str) -> None:
    from tests.commands.conftest import SMALL

    words = [word for word in SMALL if not word.startswith("data.root")]
    done = command("train", *words, f"data.root={week / 'data'}", "seed=0", f"resume_from={left[name]}")
    if name == "run" and "seed" in done.error:  # the run of the other seed
        done = command("train", *words, f"data.root={week / 'data'}", "seed=1", f"resume_from={left[name]}")
    check(done, said)
    assert f"resume_from={left[name]}" in done.err


# ------------------------------------------------------------------------------------------- studies, images, archives


@pytest.mark.parametrize(("name", "said"), cells(STUDY, slow=("copy", "link", "cut", "archive")))
def test_study_takes_folders(command: Command, left: Left, tmp_path: Path, name: str, said: str) -> None:
    folder = copy_of(left[name], tmp_path)
    done = command("study", str(folder))
    check(done, said)
    if name == "runs":
        said = " ".join(done.out.split()).replace("1 interrupted, 1 failed", "1 failed, 1 interrupted")
        assert "2 runs in 1 cell, 1 failed, 1 interrupted, 1 running" in said
        assert "never started" not in said, "the folders of both were renamed"


@pytest.mark.parametrize(("name", "said"), cells(IMAGES, slow=("copy", "link", "cut", "evaluation", "failed")))
def test_predict_takes_images(command: Command, left: Left, tmp_path: Path, name: str, said: str) -> None:
    check(command("predict", f"run={left['run']}", f"images={left[name]}", "out=out"), said)


@pytest.mark.parametrize(("name", "said"), cells(ARCHIVE, slow=("copy", "link", "cut", "find_lr", "killed", "audit")))
def test_reproduce_takes_archives(command: Command, left: Left, name: str, said: str) -> None:
    check(command("reproduce", f"archive={left[name]}"), said)


# --------------------------------------------------------------------------------------------------- several together


def test_below_a_working_directory_only_images_are_predicted(
    command: Command, left: Left, week: Path, tmp_path: Path
) -> None:
    done = command("predict", f"run={left['run']}", f"images={week}", "out=out")
    assert done.code == 0, done.err
    assert sorted(row["image"] for row in rows(tmp_path / "out" / "predictions.csv")) == sorted(
        f"data/{label}/a{number}.png" for label in ("benign", "malignant") for number in range(9)
    )
    assert "passed over 18 masks of other files, such as data/benign/a0_mask.png" in done.out
    assert "a folder of earlier predictions" in done.out
    assert f"{week}/backup/copy, the folder of a run" in done.out


def test_a_pattern_takes_finished_runs_and_says_what_it_leaves_out(
    command: Command, left: Left, week: Path, tmp_path: Path
) -> None:
    images = f"images={week / 'data' / 'benign' / 'a0.png'}"
    pattern = f"run='{week}/runs/x/*'"
    done = command("predict", pattern, images, "out=out")
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if " leaves out " in line]
    states = {Path(line.split(" leaves out ")[1].split(" (")[0]).name: line.partition(" (")[2] for line in lines}
    assert {name: states[left[name].name].split(":")[0] for name in ("failed", "interrupted", "killed", "study")} == {
        "failed": "failed", "interrupted": "interrupted", "killed": "killed", "study": "no run",
    }  # fmt: skip
    assert len(lines) == 4
    again = command("predict", f"run=['{week}/runs/x/*','{week}/backup/*','{week}/links/*']", images, "out=again")
    assert again.code == 0, again.err
    assert f"{left['copy']} is a copy of {left['run']} (same hash, numbers and weights): counted once" in again.out
    assert f"{left['link']} is the run {left['run']}: counted once" in again.out
    assert rows(tmp_path / "out" / "predictions.csv") == rows(tmp_path / "again" / "predictions.csv")
    check(command("predict", f"run='{week}/w*'", images, "out=other"), TAKEN)
    check(
        command("predict", f"run=['{week}/runs/x/*',{week}/wrong]", images, "out=none"),
        "have the same hash .*but other",
    )
    check(
        command("predict", f"run='{week}/unpacked/runs/x/*'", images, "out=none"), "no finished run: .*without weights"
    )
    check(
        command("predict", f"run='{week}/runs/*'", images, "out=none"), "matches no finished run: .*it holds runs, such"
    )
    check(
        command("predict", f"run=[{left['run']},{left['link']}]", images, "out=none"), "twice, so it would count twice"
    )
    check(command("evaluate", pattern), "matches 2 finished runs .*this command takes one")


def test_a_study_names_copies_and_refuses_what_differs(
    command: Command, left: Left, week: Path, tmp_path: Path
) -> None:
    shutil.copytree(week / "runs" / "x", tmp_path / "x")
    shutil.copytree(left["copy"], tmp_path / "x" / "backup" / "copy")
    done = command("study", "x")
    assert "2 runs in 1 cell" in done.out
    assert re.search(r"copy: x/\S+ is a copy of x/\S+ \(same hash", done.out)
    shutil.copytree(week / "wrong", tmp_path / "x" / "backup" / "wrong")
    check(command("study", "x"), "have the same hash .*but other metrics")


# ----------------------------------------------------------------------------------------------------- two at one time


def test_a_second_command_for_a_folder_waits(command: Command, left: Left, week: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    held = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    ends = threading.Timer(1.0, os.close, [held])
    ends.start()
    done = command("predict", f"run={left['run']}", f"images={week / 'data' / 'benign'}", "out=out")
    ends.join()
    check(done, TAKEN)
    assert done.out.count("another command is writing into out; this one starts when it has ended") == 1
    assert len(rows(tmp_path / "out" / "predictions.csv")) == 9


def test_a_second_evaluation_of_a_split_waits(command: Command, left: Left, tmp_path: Path) -> None:
    run = Path(shutil.copytree(left["run"], tmp_path / "run"))
    folder = run / "evaluation" / "test"
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    ends = threading.Timer(1.0, os.close, [held])
    ends.start()
    done = command("evaluate", "run=run", "samples=10", "page=false", "masks=false")
    ends.join()
    check(done, TAKEN)
    assert "another command is writing into run/evaluation/test" in done.out
