"""A sweep with each launcher: every job ends honestly, none hides another, and only what is missing is run again."""

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tandem.errors import ConfigError
from tandem.jobs.launcher_options import check, thread_variables
from tandem.train.performance.side_by_side import Width
from tandem.utils.files import read_json

Command = Callable[..., Any]

# ------------------------------------------------------------------------------------------- a process for each job


@pytest.mark.slow
def test_no_end_of_a_job_stops_or_hides_the_others(
    fake_train: Command, jobs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_ALLOW", "mine")
    mine = tmp_path / "mine" / "data"
    mine.mkdir(parents=True)
    (mine / "odd one.yaml").write_text("_target_: mine.Data\n")
    words = ["hydra/launcher=processes", "hydra.launcher.devices=[4,'5,6']", "data='odd one'", "--config-dir", "mine"]
    first = fake_train("seed=1,100,101,102,104,2", "-m", *words)
    assert first.code == 1
    assert first.err.splitlines()[-1] == "sweep: 2 finished, 2 failed, 2 killed"
    reasons = {
        100: ("failed", "ValueError: no luck"),
        101: ("killed", "killed by SIGKILL"),
        102: ("killed", "killed by SIGSEGV"),
        104: ("failed", "its process ended with exit code 3; its last output: about to do it"),
    }
    for seed, (state, reason) in reasons.items():
        status = jobs.status(seed)
        assert status["state"] == state
        assert status["error"].startswith(reason)
        assert f"(seed={seed} data='odd one'): {reason}" in first.err
        assert re.search(rf"^job \d of 6 \(seed={seed}\) {state} after \d+ s: {reason}", first.out, re.MULTILINE)
        assert (reason if seed != 100 else "Traceback") in (jobs.folder(seed) / "error.txt").read_text()
    assert "about to do it" in (jobs.folder(101) / "error.txt").read_text()
    assert "Fatal Python error: Segmentation fault" in (jobs.folder(102) / "error.txt").read_text()
    assert re.search(r"\(seed=1\) finished after \d+ s: val/segmentation/dice 0.0010 \(\d left, about ", first.out)
    for seed in (1, 2):
        left = jobs.results(seed)
        assert jobs.status(seed)["state"] == "finished"
        assert left["directory"] == str(tmp_path)
        assert left["environment"]["TANDEM_ALLOW"] == "mine"
        assert left["environment"]["CUDA_VISIBLE_DEVICES"] in ("4", "5,6")
        assert left["config"]["data"]["_target_"] == "mine.Data"
        assert jobs.status(seed)["overrides"] == [f"seed={seed}", "data='odd one'"]

    monkeypatch.setenv("FAKE_GOOD", "1")  # a relaunch runs only what is missing
    again = fake_train("-m", "seed=1,101,2", *words)
    assert (again.code, again.err) == (0, "sweep: 3 finished, 0 failed\n")
    assert again.out.startswith("1 of 3 jobs to run; 2 already finished\ndata not checked (")
    assert again.out.splitlines()[1].endswith(" of 2 finished jobs")
    assert jobs.attempts() == {1: 1, 2: 1, 100: 1, 101: 2, 102: 1, 104: 1}
    assert not (jobs.folder(101) / "error.txt").exists()

    monkeypatch.setattr("tandem.jobs.process.subprocess.Popen", _refuse)  # what is finished needs no process
    whole = fake_train("-m", "seed=1,101,2", *words)
    assert (whole.code, whole.err) == (0, "sweep: 3 finished, 0 failed\n")


def _refuse(*words: Any, **options: Any) -> None:
    raise AssertionError("a process was started")


def test_a_job_that_hangs_is_stopped_at_its_limit_and_no_other_started_where_that_is_wanted(
    fake_train: Command, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.jobs.process.STEPS", ((0, signal.SIGINT), (1, signal.SIGKILL)))
    options = [f"hydra.launcher.{option}" for option in ("n_jobs=1", "timeout_min=0.03", "keep_going=false")]
    done = fake_train("-m", "seed=103,1,2", "hydra/launcher=processes", *options)
    assert done.code == 1
    assert jobs.status(103)["state"] == "timed out"
    assert "stopped after 0.03 minutes (timeout_min)" in done.err
    assert done.err.splitlines()[-1] == "sweep: 0 finished, 0 failed, 1 timed out, 2 not started"
    assert not {1, 2} & set(jobs.attempts())


def test_a_number_of_jobs_that_is_measured(
    fake_train: Command, jobs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def measure(config: Any, count: int, threads_of_each: int | None, folder: Path) -> Width:
        asked.append((config["seed"], count, threads_of_each, folder.relative_to(tmp_path)))
        return Width(1, 3)

    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("tandem.jobs.launcher_options.TRAINING", "fake_task")
    monkeypatch.setattr("tandem.train.performance.side_by_side.side_by_side", measure)
    words = ["-m", "name=auto", "hydra/launcher=processes", "hydra.launcher.n_jobs=auto"]
    done = fake_train("seed=3", *words)
    assert (done.code, done.err) == (0, "sweep: 1 finished, 0 failed\n")
    assert asked == [(3, 1, None, Path("runs/auto"))]
    assert jobs.results(3)["environment"]["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("launcher", ["basic", "processes"])
def test_ctrl_c_stops_the_jobs_and_says_what_is_done(
    launcher: str, start: Callable[..., Any], jobs: Any, has_gone: Callable[[int], bool]
) -> None:
    sweep = start("-m", "seed=1,2,3", f"hydra/launcher={launcher}", FAKE_SECONDS="60")
    running = jobs.wait_for(2 if launcher == "processes" else 1)
    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate(timeout=30)
    assert sweep.returncode == 130
    assert err.splitlines()[-1] == "error: interrupted; rerun the same command to resume"
    assert f"sweep: 0 finished, 0 failed, {len(running)} interrupted" in err
    assert "Traceback" not in out + err
    assert all(has_gone(process) for process in running)
    assert jobs.status(1)["state"] == "interrupted"


@pytest.mark.full
@pytest.mark.slow
def test_a_real_job_has_the_same_numbers_in_a_process_of_its_own(
    tandem_train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    words = ["-m", "experiment=tiny", "task=segmentation", "seed=1", "logger=none", "callbacks.panels=null"]
    words += ["data.train=12", "data.val=12", "data.test=12", "data.seed=3"]
    results = []
    for launcher in ("processes", "basic"):
        done = tandem_train(*words, f"hydra/launcher={launcher}", f"runs={launcher}")
        assert (done.code, done.err) == (0, "sweep: 1 finished, 0 failed\n")
        (folder,) = (tmp_path / launcher / "tiny").glob("*/results.json")
        results.append(read_json(folder))
    assert results[0]["metrics"] == results[1]["metrics"]
    assert "report:" in next((tmp_path / "processes" / "tiny").glob("*/console.log")).read_text()


# ------------------------------------------------------------------------------------------------------ in one process


@pytest.mark.full
def test_a_sweep_in_one_process_that_is_killed_loses_only_the_job_in_flight(
    start: Callable[..., Any], fake_train: Command, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["-m", "seed=1,101,2"]
    killed = start(*words)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert jobs.attempts() == {1: 1, 101: 1}
    monkeypatch.setenv("FAKE_GOOD", "1")
    assert fake_train(*words).err == "sweep: 3 finished, 0 failed\n"
    assert jobs.attempts() == {1: 1, 101: 2, 2: 1}


# ----------------------------------------------------------------------------------------------------- two at one time


@pytest.mark.full
def test_two_launches_at_one_time_run_no_job_twice(
    start: Callable[..., Any], fake_train: Command, jobs: Any, has_gone: Callable[[int], bool]
) -> None:
    first = start("-m", "seed=1,5", "hydra/launcher=processes", "hydra.launcher.n_jobs=1", FAKE_SECONDS="60")
    (running,) = jobs.wait_for(1)
    status = jobs.folder(1) / "status.json"
    before = status.read_bytes(), status.stat().st_mtime_ns
    line = rf"\S+ is being run by process {running} on {re.escape(os.uname().nodename)}: not run again"
    for launcher, other in (("basic", 2), ("processes", 3)):
        second = fake_train("-m", f"seed=1,{other}", f"hydra/launcher={launcher}")
        assert second.code == 1
        assert re.search(line, second.out)
        assert re.search(f"^running elsewhere {line}$", second.err, re.MULTILINE)
        assert second.err.splitlines()[-1] == "sweep: 1 finished, 0 failed, 1 running elsewhere"
    alone = fake_train("seed=1")
    assert alone.code == 1
    assert re.fullmatch(line, alone.error)
    assert (status.read_bytes(), status.stat().st_mtime_ns) == before
    assert jobs.attempts() == {1: 1, 2: 1, 3: 1}

    first.kill()  # the sweep's jobs do not outlive it, and their locks not them
    assert has_gone(running)
    assert jobs.status(1)["state"] == "interrupted"
    assert fake_train("-m", "seed=1,2").err == "sweep: 2 finished, 0 failed\n"


# ------------------------------------------------------------------------------------------------- the other launchers


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands, as far as submitit calls them, for a cluster of this machine; gives what sbatch was given.

    As Slurm's own, sbatch takes a copy of the script and runs that: submitit moves the file away when sbatch answers.
    """
    script = tmp_path / "asked.sh"
    commands = {
        "sbatch": f"""cp "$1" {script}
            last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
            for task in $(seq 0 $last); do
                SLURM_JOB_ID=$((8 + task)) SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task SLURM_NTASKS=1 \\
                SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here \\
                bash {script} >/dev/null 2>&1 &
            done
            echo Submitted batch job 7""",
        "srun": """while case $1 in --output|--error) shift;; --*) ;; *) false;; esac; do shift; done; exec "$@" """,
        "squeue": "seq -f '7_%g RUNNING' 0 9",
    }
    for name, text in commands.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return script


OPTIONS = {
    "submitit_local": ["hydra.launcher.n_jobs=2"],
    "submitit_slurm": [
        "hydra.launcher.partition=gpu",
        "hydra.launcher.timeout_min=30",
        "hydra.launcher.setup=['true']",
    ],
    "ray": ["hydra.launcher.n_jobs=2"],
}


@pytest.mark.full
@pytest.mark.parametrize("launcher", OPTIONS)
def test_a_sweep_through_another_library(launcher: str, start: Callable[..., Any], jobs: Any, cluster: Path) -> None:
    sweep = start("seed=1,2,101,3", f"hydra/launcher={launcher}", *OPTIONS[launcher], "-m")
    _, said = sweep.communicate(timeout=200)
    assert said.splitlines()[-1] == "sweep: 3 finished, 0 failed, 1 killed"
    assert sweep.returncode == 1
    assert jobs.status(101)["error"].startswith("killed by SIGKILL")
    assert jobs.attempts() == {1: 1, 2: 1, 101: 1, 3: 1}
    assert jobs.results(3)["environment"]["OMP_NUM_THREADS"] == ("4" if launcher == "submitit_slurm" else "1")
    if launcher == "submitit_slurm":
        asked = cluster.read_text()
        asked_for = ("--partition=gpu", "--time=30", "--cpus-per-task=4", "--job-name=tandem", "--signal=USR2@120")
        for line in ("--array=0-3%4", "--nodes=1", "--ntasks-per-node=1", *asked_for):
            assert f"#SBATCH {line}\n" in asked


@pytest.mark.full
def test_a_sweep_runs_as_well_with_a_hydra_whose_private_parts_have_changed(
    fake_train: Command, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(search_path: Any) -> None:
        raise ImportError("no such module")

    with monkeypatch.context() as newer:
        newer.setattr("tandem.config.hydra_internals.make_fast_loader", changed)
        newer.setattr("tandem.config.hydra_internals._reported", set())
        done = fake_train("-m", "seed=1,2")
    assert (done.code, done.err) == (0, "sweep: 2 finished, 0 failed\n")
    line = " differs in its loader of configurations (ImportError: no such module); composing jobs takes longer\n"
    assert done.out.count(line) == 1
    folders = {seed: jobs.folder(seed) for seed in (1, 2)}
    assert fake_train("-m", "seed=1,2").out.startswith("0 of 2 jobs to run; 2 already finished\n")
    assert {seed: jobs.folder(seed) for seed in (1, 2)} == folders
    assert jobs.attempts() == {1: 1, 2: 1}


def test_a_missing_slurm_is_reported(fake_train: Command, jobs: Any) -> None:
    done = fake_train("-m", "seed=1,2", "hydra/launcher=submitit_slurm")
    assert done.code == 1
    assert done.error.startswith("hydra/launcher=submitit_slurm must run on a Slurm login node: ")
    assert jobs.attempts() == {}


def test_an_invalid_option_is_reported_before_a_job_starts(fake_train: Command, jobs: Any) -> None:
    done = fake_train("-m", "seed=1,2", "hydra/launcher=processes", "hydra.launcher.n_jobs=0")
    assert done.code == 1
    assert done.error == "hydra.launcher.n_jobs is 0, but must be at least 1"
    wrong = fake_train("-m", "seed=1,2", "hydra/launcher=processes", "hydra.launcher.njobs=3")
    assert wrong.error.startswith("unknown key 'hydra.launcher.njobs': did you mean 'n_jobs'?")
    assert jobs.attempts() == {}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"timeout_min": 0.0}, "hydra.launcher.timeout_min is 0.0, but must be above 0, or null for no limit"),
        ({"devices": []}, "hydra.launcher.devices is [], but must be a list such as [0,1], or null for all of them"),
        ({"threads": 0}, "hydra.launcher.threads is 0, but must be at least 1"),
        ({"retries": -1}, "hydra.launcher.retries is -1, but must be at least 0"),
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(line)):
        check(options)


def test_threads_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(12)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert thread_variables(None, 5)["OMP_NUM_THREADS"] == "2"
    assert thread_variables(None, 50)["OMP_NUM_THREADS"] == "1"
    assert thread_variables(3, 50)["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert thread_variables(None, 5) == {}


def test_a_missing_library_is_asked_for_by_its_extra(
    fake_train: Command, jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    done = fake_train("-m", "seed=1,2", "hydra/launcher=submitit_local")
    assert done.code == 1
    assert done.error.startswith("hydra/launcher=submitit_local needs submitit")
    assert "pip install 'tandem-mtl[submitit]'" in done.error
    assert jobs.attempts() == {}
