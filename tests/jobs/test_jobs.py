"""What is left of a job in its folder, and what a sweep says in the end."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from tandem.errors import ConfigError, DataError
from tandem.jobs import SWEEP_VARIABLE, SweepSummary, locked, one_line, run_job, sweep_jobs
from tandem.utils.files import read_json, write_json

EMPTY = OmegaConf.create({})


def fails_with(error: BaseException) -> Callable[[DictConfig, Path], None]:
    """A task that raises."""

    def task(config: DictConfig, folder: Path) -> None:
        raise error

    return task


# --------------------------------------------------------------------------------------------------------- a single job


def test_a_job_gives_its_result_and_leaves_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWEEP_VARIABLE, "s")
    config = OmegaConf.create({"a": 1})

    def task(given: DictConfig, folder: Path) -> float:
        assert given is config
        assert folder == tmp_path
        during = read_json(folder / "status.json")
        assert during == {"state": "running", "sweep": "s", "job": 0, "overrides": ["a=1"], "process": os.getpid()}
        return 0.5

    assert run_job(task, config, tmp_path, ["a=1"]) == 0.5
    assert read_json(tmp_path / "status.json") == {"state": "finished", "sweep": "s", "job": 0, "overrides": ["a=1"]}
    assert not (tmp_path / "error.txt").exists()


def test_a_job_outside_a_sweep_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWEEP_VARIABLE, raising=False)
    run_job(lambda config, folder: None, EMPTY, tmp_path, [])
    assert read_json(tmp_path / "status.json")["sweep"] is None


def test_a_failed_job_leaves_its_traceback_and_raises(tmp_path: Path) -> None:
    error = ValueError("no such\n  thing")
    with pytest.raises(ValueError, match="no such") as caught:
        run_job(fails_with(error), EMPTY, tmp_path, ["a=1"])
    assert caught.value is error
    status = read_json(tmp_path / "status.json")
    assert (status["state"], status["error"]) == ("failed", "ValueError: no such thing")
    text = (tmp_path / "error.txt").read_text()
    assert text.startswith("Traceback")
    assert "raise error\nValueError: no such\n" in text


def test_a_cause_is_part_of_the_traceback(tmp_path: Path) -> None:
    def task(config: DictConfig, folder: Path) -> None:
        try:
            raise KeyError("deep")
        except KeyError as error:
            raise ConfigError("clear") from error

    with pytest.raises(ConfigError):
        run_job(task, EMPTY, tmp_path, [])
    assert "KeyError: 'deep'" in (tmp_path / "error.txt").read_text()


def test_a_relaunch_clears_the_traceback_of_the_last_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="once"):
        run_job(fails_with(ValueError("once")), EMPTY, tmp_path, [])

    def task(config: DictConfig, folder: Path) -> None:
        assert not (folder / "error.txt").exists()

    run_job(task, EMPTY, tmp_path, [])
    status = read_json(tmp_path / "status.json")
    assert status["state"] == "finished"
    assert "error" not in status


@pytest.mark.parametrize("library", [False, True], ids=["by the task", "by a library that exits"])
def test_an_interruption_is_noted_and_goes_up(tmp_path: Path, library: bool) -> None:
    def task(config: DictConfig, folder: Path) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            if library:  # as Lightning does
                raise SystemExit(1)  # noqa: B904
            raise

    with pytest.raises(KeyboardInterrupt):
        run_job(task, EMPTY, tmp_path, [])
    assert read_json(tmp_path / "status.json")["state"] == "interrupted"


def test_an_exit_that_nobody_asked_for_is_no_end_of_the_job(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run_job(fails_with(SystemExit(3)), EMPTY, tmp_path, [])
    assert caught.value.code == 3
    assert read_json(tmp_path / "status.json")["state"] == "running"


def test_where_there_are_no_locks_it_is_said_and_the_job_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert run_job(lambda config, folder: 0.5, EMPTY, tmp_path, []) == 0.5
    assert f"cannot lock {tmp_path} (" in caplog.text


def test_a_forked_helper_does_not_keep_the_lock_of_a_job_that_has_gone(tmp_path: Path) -> None:
    started, ending = os.pipe(), os.pipe()
    with locked(tmp_path):
        helper = os.fork()
        if helper == 0:
            os.write(started[1], b"1")
            os.read(ending[0], 1)
            os._exit(0)
        os.read(started[0], 1)
    with locked(tmp_path):  # though the helper lives
        pass
    os.write(ending[1], b"1")
    os.waitpid(helper, 0)
    for end in (*started, *ending):
        os.close(end)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("lr is\n  wrong"), "lr is wrong"),
        (DataError("a; b"), "a; b"),
        (ValueError("wrong"), "ValueError: wrong"),
        (KeyError("k"), "KeyError: 'k'"),
        (AssertionError(), "AssertionError"),
    ],
    ids=repr,
)
def test_one_line(error: Exception, line: str) -> None:
    assert one_line(error) == line


# ---------------------------------------------------------------------------------------------------- a sweep's summary


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    """Configuration of a sweep below `runs/study` in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SWEEP_VARIABLE, "")
    return OmegaConf.create({"runs": "runs", "hydra": {"sweep": {"dir": "runs/study"}}})


def leave(folder: str, state: str, sweep: str | None, **more: Any) -> None:
    """What a job leaves."""
    write_json(Path(folder) / "status.json", {"state": state, "sweep": sweep, "overrides": [], **more})


def test_a_good_sweep_is_counted_and_goes_on(sweep: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    summary = SweepSummary()
    summary.on_multirun_start(sweep)
    for number in range(3):
        leave(f"runs/study/{number}", "finished", os.environ[SWEEP_VARIABLE])
    leave("runs/study/old", "failed", "another sweep", error="long ago")
    leave("runs/study/alone", "failed", None, error="alone")
    summary.on_multirun_end(sweep)
    assert capsys.readouterr() == ("next: tandem-study runs/study\n", "sweep: 3 finished, 0 failed\n")
    assert SWEEP_VARIABLE not in os.environ


def test_failures_are_named_with_what_was_typed_and_end_in_exit_code_1(
    sweep: DictConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = SweepSummary()
    summary.on_multirun_start(sweep)
    this = os.environ[SWEEP_VARIABLE]
    leave("runs/study/a", "finished", this)
    leave("runs/study/b", "failed", this, error="alpha [bold]is[/] wrong " + "x" * 200, overrides=["alpha=[1]", "g=2"])
    leave("runs/study/c", "running", this)
    with pytest.raises(SystemExit) as caught:
        summary.on_multirun_end(sweep)
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert out == "next: tandem-study runs/study\n"
    assert err.splitlines() == [
        f"failed runs/study/b (alpha=[1] g=2): alpha [bold]is[/] wrong {'x' * 200}",
        "failed runs/study/c (no overrides): still marked 'running': it was killed",
        "sweep: 1 finished, 2 failed",
    ]


def test_two_sweeps_are_told_apart(sweep: DictConfig) -> None:
    names = set()
    for _ in range(2):
        SweepSummary().on_multirun_start(sweep)
        names.add(os.environ[SWEEP_VARIABLE])
    assert len(names) == 2


def test_jobs_are_found_wherever_a_swept_name_put_them(tmp_path: Path) -> None:
    folders = ["runs/a/1", "runs/b c/2", "runs/paper/table 2/3", "elsewhere/4"]
    for folder in folders:
        leave(str(tmp_path / folder), "finished", "s")
    roots = [tmp_path / "runs", tmp_path / "runs" / "a", tmp_path / "elsewhere", tmp_path / "not there"]
    found = [folder.relative_to(tmp_path).as_posix() for folder, _ in sweep_jobs(roots, "s")]
    assert found == sorted(folders)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", '{"state": "failed"}', '{"sweep": null}'])
def test_status_files_of_other_programs_are_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "status.json").write_text(content)
    leave(str(tmp_path / "mine"), "finished", "s")
    assert [folder.name for folder, _ in sweep_jobs([tmp_path], "s")] == ["mine"]


# ----------------------------------------------------------------------------------------------------------- end to end


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_failure_and_a_relaunch_does_only_what_is_missing(
    tandem_train: Callable[..., Any], tmp_path: Path
) -> None:
    small = [
        *("experiment=tiny", "logger=none", "callbacks.panels=null", "callbacks.progress=null"),
        *("data.train=12", "data.val=12", "data.test=12", "data.seed=3", "loader.batch_size=12"),
    ]
    alphas = "tasks.segmentation.loss.alpha=0.25,1.5,0.75"
    first = tandem_train("-m", *small, alphas)
    assert first.code == 1
    assert [line for line in first.err.splitlines() if "sweep" in line] == ["sweep: 2 finished, 1 failed"]
    assert re.search(r"^job 2 of 3 \(alpha=1.5\) failed after \d+ s: .* \(1 left, about \d+ s\)$", first.out, re.M)
    assert re.search(r"^job 3 of 3 \(alpha=0.75\) finished after \d+ s: val/segmentation/dice 0.\d+$", first.out, re.M)
    failed = [line for line in first.err.splitlines() if line.startswith("failed ")]
    assert len(failed) == 1
    assert "tasks.segmentation.loss.alpha=1.5)" in failed[0]
    assert "tasks.segmentation.loss.alpha = 1.5 is outside" in failed[0]
    assert "Traceback" not in first.err + first.out

    folders = sorted(path for path in (tmp_path / "runs" / "tiny").iterdir() if path.is_dir())
    assert len(folders) == 3
    results = {folder: folder / "results.json" for folder in folders}
    bad = [folder for folder, file in results.items() if not file.exists()]
    assert len(bad) == 1
    assert (bad[0] / "error.txt").read_text().startswith("Traceback")
    assert "alpha = 1.5" in (bad[0] / "train.log").read_text()
    assert read_json(bad[0] / "status.json")["state"] == "failed"
    assert sorted(
        read_json(file)["config"]["tasks"]["segmentation"]["loss"]["alpha"]
        for file in results.values()
        if file.exists()
    ) == [0.25, 0.75]

    done = {file: file.stat().st_mtime_ns for file in results.values() if file.exists()}
    missing = min(done, key=str)
    missing.unlink()
    again = tandem_train("-m", *small, alphas)
    assert again.code == 1
    assert again.out.startswith("2 of 3 jobs to run; 1 already finished\n")
    assert "resuming from" not in again.out, "a sweep has a line for each job"
    assert (missing.parent / "train.log").read_text().count("resuming from") == 1
    for file, before in done.items():
        assert (file.stat().st_mtime_ns == before) == (file != missing)

    whole = tandem_train("-m", *small, alphas.replace("1.5,", ""))
    assert whole.code == 0
    assert whole.out.startswith("0 of 2 jobs to run; 2 already finished\n")
    assert whole.out.count("results of the best checkpoint") == 1, "the sweep's table"
    assert "best epoch" not in whole.out, "and no job's"
    assert whole.err == "sweep: 2 finished, 0 failed\n"


def test_a_sweep_over_names_counts_every_job(tandem_train: Callable[..., Any], tmp_path: Path) -> None:
    done = tandem_train("-m", "experiment=tiny", "name=a,b c", "data.noise=7")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "sweep: 0 finished, 2 failed"
    assert {path.parent.parent.name for path in tmp_path.glob("runs/*/*/error.txt")} == {"a", "b c"}


def test_a_sweep_over_where_runs_lie_counts_every_job(tandem_train: Callable[..., Any]) -> None:
    done = tandem_train("-m", "experiment=tiny", "runs=here,there", "data.noise=7")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "sweep: 0 finished, 2 failed"
