"""`n_jobs=auto`: how many jobs at a time is measured once for a structure, printed, recorded, and refused on GPUs."""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.faults.setups import PHANTOM, composed

from tandem.config.resolve import resolve
from tandem.errors import ConfigError, TrainingError
from tandem.jobs.launcher_options import check, check_measurable
from tandem.train.performance import side_by_side as module
from tandem.train.performance.side_by_side import RECORD, Width, measured, read_width, side_by_side, widths
from tandem.utils.files import read_json

SMALL = (
    *PHANTOM,
    "data.train=8",
    "data.val=8",
    "data.test=8",
    "trainer.accelerator=cpu",
    "loader.batch_size=4",
    "network.dropout=0",
)
ALONE, TWO = Width(1, 2), Width(2, 1)

Measure = Callable[..., dict[Width, list[float]]]


@pytest.fixture(autouse=True)
def two_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cores, on which nothing was measured before."""
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module, "usable_cores", lambda: 2)


@pytest.fixture(scope="module")
def composed_once() -> dict[str, Any]:
    return resolve(composed(SMALL))


@pytest.fixture
def config(composed_once: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The configuration of a run; values of it are set by dotted keys."""

    def make(values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        made = copy.deepcopy(composed_once)
        for key, value in (values or {}).items():
            *places, last = key.split(".")
            reduce(lambda node, name: node[name], places, made)[last] = value
        return made

    return make


def measures(*times: float) -> tuple[Measure, list[int]]:
    """A measurement with these seconds of a step of each choice, and how often it was asked for."""
    asked: list[int] = []

    def measure(config: Mapping[str, Any], choices: Sequence[Width]) -> dict[Width, list[float]]:
        asked.append(len(choices))
        return {width: [seconds] * 3 for width, seconds in zip(choices, times, strict=True)}

    return measure, asked


@pytest.mark.parametrize(
    ("jobs", "cores", "threads", "found"),
    [
        (27, 2, None, [(1, 2), (2, 1)]),
        (27, 1, None, [(1, 1)]),
        (1, 8, None, [(1, 8)]),
        (3, 8, None, [(1, 8), (2, 4)]),
        (9, 6, None, [(1, 6), (2, 3), (4, 1)]),
        (9, 8, 2, [(1, 2), (2, 2), (4, 2)]),
        (9, 2, 4, [(1, 4)]),
    ],
)
def test_what_is_compared(jobs: int, cores: int, threads: int | None, found: list[tuple[int, int]]) -> None:
    assert [(width.jobs, width.threads) for width in widths(jobs, cores, threads)] == found


@pytest.mark.parametrize("stored", [None, 2, {}, {"jobs": 2}, {"jobs": 0, "threads": 1}, {"jobs": True, "threads": 1}])
def test_other_values_are_no_choice(stored: object) -> None:
    with pytest.raises(ValueError, match="does not say how jobs share a machine"):
        read_width(stored)


@pytest.mark.parametrize(("times", "found"), [((1.0, 0.7), TWO), ((1.0, 0.98), ALONE), ((1.0, 1.3), ALONE)])
def test_the_fastest_is_taken_printed_recorded_and_kept_for_the_same_structure(
    times: tuple[float, float],
    found: Width,
    config: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    measure, asked = measures(*times)
    monkeypatch.setattr(module, "measured", measure)
    assert side_by_side(config(), 3, None, tmp_path / "runs") == found
    assert f"hydra.launcher.n_jobs=auto: {found} (" in caplog.text
    assert "one after another with 2 threads: 1; 2 at a time with 1 thread each: " in caplog.text
    record = read_json(tmp_path / "runs" / RECORD)
    assert (record["jobs"], record["threads"]) == (found.jobs, found.threads)
    assert record["steps a second"][str(TWO)] == pytest.approx(1 / times[1], abs=1e-3)

    assert side_by_side(config({"seed": 7, "optimizer.lr": 0.5}), 2, None, tmp_path / "other") == found
    assert asked == [2]
    assert "(measured before, for the same structure)" in caplog.text
    assert read_json(tmp_path / "other" / RECORD)["jobs"] == found.jobs
    side_by_side(config({"loader.batch_size": 2}), 3, None, tmp_path / "third")
    assert asked == [2, 2]


def test_a_sweep_that_goes_on_keeps_its_threads(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measure, asked = measures(1.0, 0.5)
    monkeypatch.setattr(module, "measured", measure)
    assert side_by_side(config(), 3, None, tmp_path) == TWO
    assert side_by_side(config({"loader.batch_size": 2}), 1, None, tmp_path) == TWO
    assert side_by_side(config(), 1, 1, tmp_path) == TWO
    assert asked == [2]
    assert side_by_side(config(), 1, 2, tmp_path) == ALONE  # what a person sets wins
    assert side_by_side(config(), 3, None, tmp_path) == ALONE
    (tmp_path / RECORD).write_text('{"jobs": 2}')
    assert side_by_side(config(), 3, None, tmp_path) == TWO
    assert f"{tmp_path / RECORD} is damaged" in caplog.text


def test_threads_of_the_option_or_the_environment_are_kept(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, asked = measures(1.0, 0.5)
    monkeypatch.setattr(module, "measured", measure)
    assert side_by_side(config(), 3, 2, tmp_path / "option") == Width(1, 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert side_by_side(config(), 3, None, tmp_path / "environment") == TWO
    assert asked == [2]


def test_what_cannot_be_measured_runs_one_after_another(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*arguments: Any) -> None:
        raise TrainingError("data.root is nowhere")

    monkeypatch.setattr(module, "measured", fails)
    assert side_by_side(config(), 3, None, tmp_path) == ALONE
    line = "one after another with 2 threads, since nothing could be measured: data.root is nowhere"
    assert line in caplog.text
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.json"))


def test_several_devices_for_each_job_are_refused(config: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n_jobs=auto is for jobs of one device each; give a number"):
        side_by_side(config({"trainer.devices": 2}), 3, None, tmp_path)


@pytest.mark.parametrize(
    ("options", "command", "line"),
    [
        ({"n_jobs": None}, "tandem.train", "n_jobs is null, but must be a whole number, or auto"),
        ({"n_jobs": "auto"}, "tandem.evaluate", "n_jobs=auto measures steps of training; give this command a number"),
        ({"n_jobs": "auto", "devices": [0]}, "tandem.train", "but hydra.launcher.devices names GPUs; give a number"),
    ],
)
def test_what_is_refused_before_a_job_starts(options: dict[str, Any], command: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        check_measurable(options, command)


@pytest.mark.parametrize("count", ["two", 1.5, True])
def test_a_number_of_jobs_is_whole(count: object) -> None:
    with pytest.raises(ConfigError, match=rf"^hydra.launcher.n_jobs is {count!r}, but must be a whole number"):
        check({"n_jobs": count})
    check({"n_jobs": "auto"})


@pytest.mark.full
def test_processes_measure_steps_and_end(config: Any) -> None:
    found = measured(config(), [Width(1, 1), TWO], seconds=0.6)
    assert [len(times) for times in found.values()] == [3, 3]
    assert all(0 < seconds < 60 for times in found.values() for seconds in times)


@pytest.mark.full
def test_an_error_of_a_process_is_one_line(config: Any) -> None:
    with pytest.raises(TrainingError, match="train"):
        measured(config({"data.train": -1}), [ALONE], seconds=0.1)


@pytest.mark.full
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_refused(config: Any) -> None:
    with pytest.raises(ConfigError, match="measures processors, but the jobs train on cuda; give a number"):
        measured(config({"trainer.accelerator": "gpu"}), [ALONE])
