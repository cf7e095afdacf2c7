"""The command: real runs, resuming, the printed results, and errors in one line."""

import contextlib
import csv
import json
import re
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tandem.config.identity import run_hash
from tandem.config.resolve import register
from tandem.jobs import locked
from tandem.search.callback import ReportEpochs
from tandem.search.command import main
from tandem.search.run import run_trial

Command = Callable[..., Any]

SMALL = [
    *("experiment=tiny", "task=segmentation", "logger=none", "callbacks.panels=null", "trainer.max_epochs=2"),
    *("data.train=12", "data.val=12", "data.test=12", "data.seed=3", "loader.batch_size=12"),
]


@pytest.fixture(autouse=True)
def the_root_of_training() -> Iterator[None]:
    """Other tests in this process compose what is trained."""
    yield
    register()


@pytest.fixture
def search(in_process: Callable[[Callable[[], None]], Command]) -> Command:
    """`python scripts/search.py` in this process and in `tmp_path`."""
    return in_process(main)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.full
def test_a_search_runs_is_cut_goes_on_and_is_answered(
    search: Command, tandem_train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL, "name=mine", "search.n_trials=3", "+search.space.optimizer.lr={low: 1e-4, high: 1e-2, log: true}"]
    reported: list[tuple[str, int]] = []
    report = ReportEpochs.on_train_epoch_end

    def cut(self: ReportEpochs, trainer: Any, module: Any) -> None:
        reported.append((trainer.default_root_dir, trainer.current_epoch))
        if len(reported) == 4:  # the last epoch of the second trial
            raise KeyboardInterrupt
        report(self, trainer, module)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(ReportEpochs, "on_train_epoch_end", cut)
        done = search(*words)
    signal.signal(signal.SIGINT, before)  # which Lightning ignores from Ctrl-C on
    assert (done.code, done.error) == (130, "interrupted; rerun the same command to resume")

    done = search(*words)
    assert done.code == 0, done.err
    folder = tmp_path / "runs" / "mine"
    found = rows(folder)
    assert [row["state"] for row in found] == ["complete"] * 3
    runs = [json.loads((tmp_path / row["folder"] / "results.json").read_text()) for row in found]
    assert sorted(run["resumed"] for run in runs) == [False, False, True]
    for row, run in zip(found, runs, strict=True):
        assert float(row["val/segmentation/dice"]) == run["metrics"]["val/segmentation/dice"]
        assert float(row["optimizer.lr"]) == run["config"]["optimizer"]["lr"]
        assert Path(row["folder"]).name == run["hash"]
        assert "search" not in run["config"]
        assert (tmp_path / row["folder"] / "train.log").stat().st_size > 0

    best = max(runs, key=lambda run: run["metrics"]["val/segmentation/dice"])
    command = re.findall(r"^rerun the best in .*, trial \d: tandem-train (.*)$", done.out, flags=re.MULTILINE)
    dice = best["metrics"]["val/segmentation/dice"]
    assert f"best of 3 complete trials: val/segmentation/dice {dice:.4f} at gamma=" in done.out
    assert "one run each, and the best of many is too good by chance" in done.out
    seeds = re.findall(r"^the same with seeds that did not choose it: tandem-train (.*)$", done.out, re.MULTILINE)
    assert shlex.split(seeds[0])[0] == "-m"
    assert shlex.split(seeds[0])[-1] == "seed=1,2,3"
    assert set(shlex.split(command[0])) - set(shlex.split(seeds[0])) == {"name=mine"}
    assert "name=mine_best" in shlex.split(seeds[0])
    shown = tandem_train(*shlex.split(command[0]))
    assert "already finished, answered from" in shown.out
    assert best["hash"] in shown.out

    register("search")
    again = search(*words)
    assert again.code == 0
    assert "resuming after 3 of 3 trials" in again.out
    assert rows(folder) == found

    # another database, two processes: the same seed takes the same trials, and their runs are there
    (folder / "search.db").unlink()
    done = search(*words, "search.n_jobs=2")
    assert done.code == 0
    assert {row["folder"] for row in rows(folder)} == {row["folder"] for row in found}
    assert [row["state"] for row in rows(folder)] == ["complete"] * 3


def test_failures_are_recorded_and_end_no_search(search: Command, tmp_path: Path) -> None:
    space = ("scheduler=plateau", "+search.space.scheduler.factor=[2,3]")
    done = search(*SMALL, "name=mine", "search.n_trials=2", *space)
    assert done.code == 1
    assert done.err.startswith("error: all 2 trials failed, the last: scheduler (ReduceLROnPlateau): Factor should")
    found = rows(tmp_path / "runs" / "mine")
    assert [row["state"] for row in found] == ["failed"] * 2
    assert all("Factor should be < 1.0" in row["reason"] for row in found)
    assert json.loads((tmp_path / found[0]["folder"] / "status.json").read_text())["state"] == "failed"


def test_data_that_cannot_be_read_end_a_search_that_has_found_nothing(search: Command, tmp_path: Path) -> None:
    done = search(*SMALL[:5], "data=folder", f"data.root={tmp_path / 'nothing'}")
    assert done.code == 1
    assert "nothing" in done.error


SETTINGS = {"data": {"_target_": "tandem.data.phantom.Phantom"}}


def write_results(folder: Path, metrics: dict[str, float | None]) -> None:
    """Writes the results of a finished run with these settings."""
    results = {"hash": run_hash(SETTINGS), "config": SETTINGS, "metrics": metrics}
    (folder / "results.json").write_text(json.dumps(results))


def test_a_value_that_is_no_number_is_a_failed_trial(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_results(tmp_path / "run", {"val/segmentation/dice": None, "val/loss": 0.5})
    known: Any = None

    def outcome(*objectives: str) -> Any:
        return run_trial(SETTINGS, tmp_path / "run", [], 0, objectives, known)

    assert outcome("val/loss").values == [0.5]
    assert outcome("val/loss", "val/segmentation/dice").reason == (
        "val/segmentation/dice of the best checkpoint is not a number"
    )


def test_a_run_that_another_process_has_in_hand_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, known = tmp_path / "run", cast(Any, None)
    with contextlib.ExitStack() as elsewhere:
        elsewhere.enter_context(locked(folder))
        looks: list[float] = []

        def wait(seconds: float) -> None:
            looks.append(seconds)
            if len(looks) == 3:
                write_results(folder, {"val/loss": 0.5})
                elsewhere.close()

        monkeypatch.setattr("tandem.search.run.time.sleep", wait)
        assert run_trial(SETTINGS, folder, [], 0, ["val/loss"], known).values == [0.5]
    assert len(looks) == 3
    assert not (folder / "error.txt").exists()


REFUSED = [
    (["search=focall"], "no option 'focall' in the config group 'search': did you mean 'focal'?"),
    (["-m"], "-m is for training; give this command one value for each key"),
    (["hydra.mode=MULTIRUN"], "hydra.mode=MULTIRUN is for training; give this command one value for each key"),
    (["study=seeds"], "a search creates its own runs; remove study=seeds"),
    (["search.objectives=[test/segmentation/dice]"], "search.objectives: 'test/segmentation/dice' is not val/...;"),
    (
        ["tasks.segmentation.loss.gamma=2"],
        "'tasks.segmentation.loss.gamma' is in the search space; remove its override",
    ),
    (["+search.space.optimizer.lrr=[1,2]"], "unknown key 'optimizer.lrr': did you mean 'lr'?"),
    (["trainer.devices=2"], "each trial of a search runs on one device, not 2: set trainer.devices=1, and"),
]


@pytest.mark.parametrize(("arguments", "line"), REFUSED, ids=[" ".join(typed) for typed, _ in REFUSED])
def test_a_search_that_cannot_work_starts_no_trial(
    search: Command, tmp_path: Path, arguments: list[str], line: str
) -> None:
    done = search(*arguments)
    assert done.code == 1
    assert done.error.startswith(line)
    assert done.out == ""
    assert not (tmp_path / "runs").exists()
