"""The list of runs: what it tells, its filters, a comparison, and what is removed and what never is."""

import csv
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tandem.config.schema import ListRunsConfig
from tandem.errors import ConfigError
from tandem.jobs.lock import locked
from tandem.list_runs import main
from tandem.list_runs.command import list_job
from tandem.list_runs.filters import split_words

Command = Callable[..., Any]
LOSS = {"_target_": "tandem.losses.binary.Focal", "alpha": None}


def make_run(folder: Path, state: str = "finished", dice: float = 0.5, **settings: Any) -> Path:
    """A run's folder with what training leaves of it, small."""
    folder.mkdir(parents=True)
    typed = [f"{key}={value}" for key, value in settings.items()]
    status = {"state": state, "sweep": None, "job": 0, "overrides": typed, "error": "the roof fell in"}
    (folder / "status.json").write_text(json.dumps(status))
    if state == "finished":
        config = {
            "name": folder.parent.name, "seed": settings.get("seed", 0), "optimizer": {"lr": 0.1},
            "tasks": {"lesion": {"loss": {**LOSS, "gamma": settings.get("gamma", 1.0)}}},
        }  # fmt: skip
        results = {
            "name": folder.parent.name, "hash": folder.name, "monitor": "val/lesion/dice", "mode": "max",
            "metrics": {"val/lesion/dice": dice, "test/lesion/dice": dice - 0.125, "val/lesion/loss": 1 - dice},
            "config": config, "device": "cpu",
        }  # fmt: skip
        (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Six runs of two studies, one of them of each sort."""
    root = tmp_path / "runs"
    make_run(root / "grid" / "0123", dice=0.25, gamma=1.0, seed=0)
    make_run(root / "grid" / "1e10", dice=0.75, gamma=2.0, seed=0)
    make_run(root / "grid" / "2222", dice=0.5, gamma=2.0, seed=1)
    make_run(root / "grid" / "3333", "failed", gamma=3.0)
    make_run(root / "other" / "4444", "running", seed=5)  # nobody holds its lock
    make_run(root / "other" / "5555", "interrupted", seed=6)
    return root


@dataclass(frozen=True)
class Said:
    """What the command printed, logged, and its error."""

    out: str
    error: str


@pytest.fixture
def list_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Command:
    """The command without Hydra, which would take half a second for each call."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)

    def run(*words: str) -> Said:
        mine, filters = split_words(words, [one.name for one in fields(ListRunsConfig)])
        config = OmegaConf.merge(OmegaConf.structured(ListRunsConfig), OmegaConf.from_dotlist(mine))
        caplog.clear()
        error = ""
        try:
            list_job(OmegaConf.to_container(config), filters)  # type: ignore[arg-type]
        except ConfigError as refused:
            error = str(refused)
        return Said(capsys.readouterr().out + "".join(f"{line}\n" for line in caplog.messages), error)

    return run


def test_the_command_reads_hashes_as_words_and_other_keys_as_filters(
    in_process: Callable[[Callable[[], None]], Command], runs: Path
) -> None:
    done = in_process(main)("compare=[0123,1e10]", "format=csv", "seed=0")
    assert done.code == 0
    assert done.out.splitlines()[:2] == ["what,0123,1e10", "tasks.lesion.loss.gamma,1,2"]
    assert in_process(main)("runs=nowhere").error.startswith("there is no folder nowhere")


def listed(done: Any) -> dict[str, dict[str, Any]]:
    assert not done.error
    return {run["hash"]: run for run in json.loads(done.out)}


@pytest.mark.usefixtures("runs")
def test_each_run_tells_its_state_what_differs_and_its_best_value(list_runs: Command) -> None:
    found = listed(list_runs("format=json", "sort=best"))
    assert [(run["hash"], run["best"]) for run in found.values() if run["best"] is not None] == [
        ("1e10", 0.75), ("2222", 0.5), ("0123", 0.25),
    ]  # fmt: skip
    assert {key: run["state"] for key, run in found.items() if run["state"] != "finished"} == {
        "3333": "failed", "4444": "killed", "5555": "interrupted",
    }  # fmt: skip
    assert found["2222"]["differs"] == {"gamma": "2", "seed": "1"}
    assert found["5555"]["differs"] == {"seed": "6"}
    assert found["1e10"]["path"] == "runs/grid/1e10"
    assert found["3333"]["reason"] == "the roof fell in"


def test_the_results_of_a_run_are_read_once(list_runs: Command, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, whole = [], Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.resolve())
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    list_runs()
    assert sorted(path for path in read if path.name == "results.json") == sorted(runs.rglob("results.json"))


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["name=grid"], {"0123", "1e10", "2222", "3333"}),
        (["name=g*", "state=finished"], {"0123", "1e10", "2222"}),
        (["state=[failed,killed]"], {"3333", "4444"}),
        (["gamma=2"], {"1e10", "2222"}),
        (["tasks.lesion.loss.gamma=2", "seed=1"], {"2222"}),
        (["seed=1,6"], {"2222", "5555"}),
        (["alpha=null"], {"0123", "1e10", "2222"}),
    ],
)
@pytest.mark.usefixtures("runs")
def test_filters_leave_the_runs_that_fit(list_runs: Command, words: list[str], left: set[str]) -> None:
    assert set(listed(list_runs("format=json", *words))) == left


@pytest.mark.usefixtures("runs")
def test_csv_and_the_table_have_the_same_runs(list_runs: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(list_runs("format=csv", "sort=name").out)))
    assert [row["hash"] for row in rows] == ["0123", "1e10", "2222", "3333", "4444", "5555"]
    table = list_runs("sort=name").out.splitlines()
    assert len(table) == 7
    assert "gamma=2 seed=1" in table[3]
    assert table[3].split()[-2:] == ["0.500", "runs/grid/2222"]


@pytest.mark.usefixtures("runs")
def test_two_runs_stand_side_by_side(list_runs: Command) -> None:
    found = json.loads(list_runs("compare=[0123,1e10]", "format=json").out)
    assert found["settings"] == [["tasks.lesion.loss.gamma", "1", "2"]]
    assert found["metrics"] == [
        ["val/lesion/dice", 0.25, 0.75], ["test/lesion/dice", 0.125, 0.625], ["val/lesion/loss", 0.75, 0.25],
    ]  # fmt: skip
    shown = list_runs("compare=[runs/grid/0123,1e1]").out
    assert shown.splitlines()[1].split() == ["tasks.lesion.loss.gamma", "1", "2"]
    assert "+0.500" in shown


WRONG = [
    (["runs=nowhere"], "there is no folder nowhere"),
    (["sort=dice"], "sort is 'dice': there are: best, name, when"),
    (["format=xml"], "format is 'xml'"),
    (["gama=2"], "no run has a setting 'gama': did you mean 'gamma'?"),
    (["state=faild"], "no run is 'faild': did you mean 'failed'?"),
    (["delete=finished"], "delete=finished is not possible; there are: failed, killed, interrupted, timed out"),
    (["delete=running"], "delete=running is not possible"),
    (["delete=true"], "delete=True is not possible"),
    (["compare=0123"], "compare names 1 runs, but must name two"),
    (["compare=[0123,9]"], "compare=9 is no run"),
    (["compare=[0123,3333]"], "compare=3333 is failed, so it has no results to compare"),
]


@pytest.mark.parametrize(("words", "line"), WRONG, ids=[words[0] for words, _ in WRONG])
@pytest.mark.usefixtures("runs")
def test_a_mistake_is_one_line(list_runs: Command, tmp_path: Path, words: list[str], line: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = list_runs(*words)
    assert done.error.startswith(line)
    assert sorted(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------------------------------------------------- removing


def test_only_what_is_named_is_removed_and_shown_before(list_runs: Command, runs: Path) -> None:
    done = list_runs("name=grid", "delete=failed")
    assert done.out.splitlines()[0].startswith("failed runs/grid/3333, 0.0 MB (gamma=3.0): the roof fell in")
    assert done.out.splitlines()[1:] == ["removed 1 of 1"]
    assert {path.parent.name for path in runs.rglob("status.json")} == {"0123", "1e10", "2222", "4444", "5555"}
    list_runs("delete=[killed,interrupted]")
    assert {path.parent.name for path in runs.rglob("status.json")} == {"0123", "1e10", "2222"}


def test_a_run_that_has_been_started_again_stays(list_runs: Command, runs: Path, monkeypatch: Any) -> None:
    from tandem.list_runs import command

    def start(question: str) -> bool:
        make_run(runs / "grid" / "9999")
        (runs / "grid" / "9999" / "results.json").rename(runs / "grid" / "3333" / "results.json")
        return True

    monkeypatch.setattr(command, "_agreed", start)
    done = list_runs("delete=failed")
    assert done.error
    assert "runs/grid/3333 stays: it is finished now" in done.out
    assert (runs / "grid" / "3333" / "status.json").exists()


def test_a_run_that_another_process_holds_stays(list_runs: Command, runs: Path) -> None:
    with locked(runs / "grid" / "3333"):
        done = list_runs("delete=failed")
    assert done.error
    assert "runs/grid/3333 stays: " in done.out
    assert (runs / "grid" / "3333" / "status.json").exists()


def test_nothing_behind_a_link_or_with_another_run_in_it_is_removed(
    list_runs: Command, runs: Path, tmp_path: Path
) -> None:
    outside = make_run(tmp_path / "outside" / "7777", "failed")
    (runs / "linked").symlink_to(outside.parent)
    (runs / "grid" / "8888").symlink_to(make_run(tmp_path / "elsewhere" / "8888", "failed"))
    make_run(runs / "grid" / "3333" / "inner" / "6666")
    caught = make_run(runs / "other" / "aaaa", "failed")
    (caught / ".lock").symlink_to(tmp_path / "outside" / "7777" / "status.json")
    before = (outside / "status.json").read_bytes()
    done = list_runs("delete=failed")
    assert done.out.count(" stays: ") == 4
    assert "it is a link, or lies behind one" in done.out
    assert "it holds another run" in done.out
    assert "its .lock is a link" in done.out
    assert (outside / "status.json").read_bytes() == before
    assert (tmp_path / "elsewhere" / "8888" / "status.json").exists()
    assert (runs / "grid" / "3333" / "inner" / "6666" / "results.json").exists()


@pytest.mark.parametrize(("answer", "left"), [("y\n", False), ("\n", True), ("no\n", True)])
def test_a_terminal_is_asked(
    list_runs: Command, runs: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    done = list_runs("delete=failed")
    assert "remove these 1 folders with all that is in them? [y/N]" in done.out
    assert (runs / "grid" / "3333").exists() is left


@pytest.mark.usefixtures("runs")
def test_names_from_files_do_not_reach_the_terminal_as_they_are(list_runs: Command, runs: Path) -> None:
    make_run(runs / "grid" / "bbbb", "failed", gamma="\x1b[2J")
    assert "\x1b" not in list_runs().out + list_runs("format=csv").out + list_runs("format=json").out


def test_nothing_heavy_is_imported(runs: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tandem.list_runs"],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "pytorch_lightning", "matplotlib", "scipy", "timm"}
