"""Jobs that a sweep has planned, and sweeps without any."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.jobs.outcome import SweepJob
from tandem.jobs.plan import PLAN, never_started, write_plan
from tandem.train.run import main


def job(folder: Path, number: int, module: str = "tandem.train") -> SweepJob:
    return SweepJob(number, "", (f"seed={number}",), ("-P", "-m", module, f"seed={number}"), str(folder), "", "")


def test_a_plan_grows_and_names_what_never_started(tmp_path: Path) -> None:
    write_plan([job(tmp_path / "x" / name, n) for n, name in enumerate("ab")])
    write_plan([job(tmp_path / "x" / "c", 2), job(tmp_path / "y" / "d", 3, "tandem.find_lr")])
    assert list(json.loads((tmp_path / "x" / PLAN).read_text())) == ["a", "b", "c"]
    (tmp_path / "x" / "a").mkdir()
    (tmp_path / "x" / "a" / "status.json").touch()
    places = [tmp_path / "x", tmp_path / "y", tmp_path / "z"]
    assert list(never_started(places, "tandem.train")) == [
        (tmp_path / "x" / "b", ("seed=1",)), (tmp_path / "x" / "c", ("seed=2",)),
    ]  # fmt: skip
    (tmp_path / "x" / PLAN).write_text('{"../evil": {"command": "tandem.train"}, "e": 1}')
    assert list(never_started(places, "tandem.train")) == []


@pytest.mark.parametrize(
    "typed", [["seed=range(3,3)"], ["optimizer=glob(z*)"], ["hydra/launcher=processes", "seed=range(3,3)"]]
)
def test_a_sweep_without_a_job_is_an_error(
    in_process: Callable[[Callable[[], None]], Callable[..., Any]], typed: list[str]
) -> None:
    done = in_process(main)("-m", "experiment=tiny", *typed)
    assert done.code == 1
    assert "the sweep has no job: a list, range or glob in it is empty" in done.error
