"""Every number of a paper's runs in one table, read back bit for bit; and runs trained again are compared with it."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.paper.test_reproduce import asked

from tandem.errors import ConfigError, DataError
from tandem.paper.command import reproduce
from tandem.paper.run_table import RUNS, read_runs, runs_csv


def test_numbers_come_back_bit_for_bit(make: Any, tmp_path: Path) -> None:
    job = make.run("seg", 0, [])
    file = make.folder / job.place / "results.json"
    results = json.loads(file.read_text())
    exact = 0.1 + 0.2
    results |= {"metrics": {"test/a": exact, "test/b": None}, "thresholds": {"a": [1 / 3, 0.5]}, "best_epoch": 7}
    file.write_text(json.dumps(results))
    (tmp_path / RUNS).write_text(runs_csv(make.outcome()))
    described = {"place": job.place, "threads": 1, "platform": "linux", "device": "x86_64", "versions": {"torch": "1"}}
    (tmp_path / "manifest.json").write_text(json.dumps({"budget": {"name": "cpu"}, "runs": [described]}))
    budget, outcome = read_runs(tmp_path)
    (found,) = outcome.runs.values()
    assert budget == "cpu"
    assert outcome.jobs == [job]
    assert found.metrics == {"test/a": exact, "test/b": None}
    assert found.results["thresholds"] == {"a.0": 1 / 3, "a.1": 0.5}
    assert (found.results["best_epoch"], found.results["threads"]) == (7, 1)


@pytest.mark.parametrize(
    ("manifest", "runs", "message"),
    [
        (None, None, "has no manifest.json; give a folder that reproduce.py wrote"),
        ('{"budget": {"name": "cpu"}, "runs": []}', None, "has no runs.csv"),
        ('{"budget": {"name": "cpu"}, "runs": []}', "study,run,overrides,best_epoch\na,b/c,seed=0,1\n", "KeyError"),
        ("{}", "", "KeyError"),
        ("[", "", "cannot be read"),
    ],
)
def test_another_folder_is_refused(manifest: str | None, runs: str | None, message: str, tmp_path: Path) -> None:
    for name, text in (("manifest.json", manifest), (RUNS, runs)):
        if text is not None:
            (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_runs(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("against=results/quick",), "no paper is chosen"),
        (("against=results/quick", "archive=a.zip"), "give only one of them"),
    ],
)
def test_what_does_not_go_together(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked(*words)


@pytest.mark.full
def test_a_published_folder_is_verified_without_its_runs(
    trained: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ("paper=quick", "budget=test")
    made = reproduce(asked(*quick, command=["reproduce.py", *quick]))
    published = made.out.rename(tmp_path / "published")
    (tmp_path / "runs").rename(tmp_path / "gone")
    again = reproduce(asked("paper=quick", f"against={published}", "verify=1"))
    assert [check.verdict for check in again.checks] == ["identical"]
    assert again.good
    with (published / RUNS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (published / RUNS).open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows({**row, "test/loss": "0.125"} for row in rows)
    wrong = reproduce(asked("paper=quick", f"against={published}", "verify=1"))
    assert [check.verdict for check in wrong.checks] == ["differs"]
    assert "test/loss: 0.125 then" in wrong.checks[0].where
