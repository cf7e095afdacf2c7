"""The state of a job in its folder, also where the folder holds a run of other settings."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from tandem.errors import ConfigError
from tandem.jobs.status import ERROR, SWEEP_VARIABLE, read_status, run_job, status_of_job
from tandem.jobs.summary import SweepSummary, sweep_jobs
from tandem.utils.files import write_json

NOTHING = OmegaConf.create({})


def finishes(config: DictConfig, folder: Path) -> float:
    write_json(folder / "results.json", {"metrics": {"val/loss": 0.25}, "config": {"seed": 0}})
    return 0.25


def is_refused(config: DictConfig, folder: Path) -> float:
    raise ConfigError(f"{folder} holds a run with other values of seed")


def breaks(config: DictConfig, folder: Path) -> float:
    raise ValueError("no luck")


def test_a_refused_job_leaves_the_state_of_the_finished_run_and_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SWEEP_VARIABLE, "first")
    run_job(finishes, NOTHING, tmp_path, ["seed=0"])
    monkeypatch.setenv(SWEEP_VARIABLE, "second")
    with pytest.raises(ConfigError):
        run_job(is_refused, NOTHING, tmp_path, ["seed=5"], 3)

    left = read_status(tmp_path)
    assert (left["state"], left["sweep"], left["overrides"]) == ("finished", "first", ["seed=0"])
    assert not (tmp_path / ERROR).exists()
    own = status_of_job(tmp_path, "second", 3)
    assert (own["state"], own["overrides"]) == ("failed", ["seed=5"])
    assert status_of_job(tmp_path, "second", 4) == {}
    assert [status["state"] for _, status in sweep_jobs([tmp_path], "second")] == ["failed"]

    assert not SweepSummary().print_summary([tmp_path])  # no row of the other run's numbers
    printed = capsys.readouterr()
    assert "0.25" not in printed.out
    assert "(seed=5)" in printed.err
    assert "sweep: 0 finished, 1 failed" in printed.err


@pytest.mark.parametrize("task", [is_refused, breaks])
def test_a_job_that_fails_in_its_own_folder_says_so(task: Any, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ValueError)):
        run_job(task, NOTHING, tmp_path, ["seed=5"])
    assert read_status(tmp_path)["state"] == "failed"
    assert (tmp_path / ERROR).exists()


def test_the_next_job_in_a_folder_forgets_the_refused_one(tmp_path: Path) -> None:
    run_job(finishes, NOTHING, tmp_path, [])
    with pytest.raises(ConfigError):
        run_job(is_refused, NOTHING, tmp_path, ["seed=5"], 3)
    run_job(finishes, NOTHING, tmp_path, ["seed=0"])
    assert status_of_job(tmp_path, None, 3) == {}
