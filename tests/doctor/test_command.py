"""The report of a machine, and its self-test."""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import pytest

import tandem
from tandem.doctor import machine, packages, self_test
from tandem.doctor.command import main, sections
from tandem.doctor.section import Line, Section, faults, render


def by_name(section: Section) -> dict[str, Line]:
    return {line.name: line for line in section.lines}


def test_the_report_is_printed_and_written(in_process: Callable[..., Any], tmp_path: Path) -> None:
    outcome = in_process(main)("self_test=false", "out=doctor.txt")
    assert (outcome.code, outcome.err) == (0, "")
    written = (tmp_path / "doctor.txt").read_text()
    assert outcome.out == f"{written}doctor.txt\n"
    titles = [line for line in written.splitlines() if not line.startswith((" ", "!"))]
    assert titles == ["packages", "extras", "machine", "folders"]


def test_a_file_of_something_else_stays(in_process: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    outcome = in_process(main)("self_test=false", "out=mine.txt")
    assert outcome.code == 1
    assert "overwrite=true" in outcome.err
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_data_are_read_or_their_fault_is_a_line(in_process: Callable[..., Any]) -> None:
    outcome = in_process(main)("self_test=false", "data=folder", "data.root=nothing/here")
    assert outcome.code == 1
    assert "! nothing/here" in outcome.out
    assert outcome.err == "error: 1 line above marked with ! needs a fix\n"
    found = sections({"runs": "runs", "self_test": False, "data": {"_target_": "tandem.data.phantom.PhantomSource"}})
    assert [section.title for section in found][-1] == "data"


def test_versions_are_those_that_are_installed_and_old_ones_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert requires(tandem.DISTRIBUTION)
    found = by_name(packages.versions())
    assert found["torch"].value == version("torch")
    assert not faults([packages.versions(), packages.extras()])

    def old(name: str) -> str:
        return "0.0.1" if name in ("torch", "optuna") else version(name)

    monkeypatch.setattr(packages, "version", old)
    assert by_name(packages.versions())["torch"].fault.startswith("tandem needs <3,>=")
    assert by_name(packages.extras())["search"].fault.startswith("optuna tandem needs >=")


def test_an_extra_that_is_absent_is_no_fault_but_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        if name == "wandb":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(packages, "version", absent)
    line = by_name(packages.extras())["wandb"]
    assert line.value.startswith("tracker, not installed (pip install 'tandem-mtl[wandb]'")
    assert not line.fault


def test_folders_that_cannot_be_used_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert by_name(machine.folders(tmp_path / "file" / "runs"))["runs"].fault.endswith("choose another folder")
    assert not by_name(machine.folders(tmp_path / "not" / "yet"))["runs"].fault
    assert not (tmp_path / "not").exists()
    monkeypatch.setattr(machine, "LITTLE_DISK", float("inf"))
    assert by_name(machine.folders(tmp_path))["runs"].fault == "the disk is nearly full"
    monkeypatch.setattr(machine, "LITTLE_MEMORY", float("inf"))
    assert "loader.batch_size" in by_name(machine.devices())["memory"].fault


def test_the_home_folder_and_control_characters_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/someone"))
    text = render(Section("t", [Line("a", "/home/someone/runs"), Line("bc", "x\x1b[2J", "fix it")]))
    assert text == "t\n  a   ~/runs\n! bc  x\\x1b[2J: fix it"


@pytest.mark.full
def test_the_self_test_passes_and_finds_what_is_broken(
    in_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["tandem.doctor.command"], "versions", lambda: Section("packages", []))

    def broken(self: Any) -> None:
        raise self_test.StepError("2 numbers differ")

    monkeypatch.setattr(self_test._Steps, "export", broken)
    outcome = in_process(main)("self_test=true")
    assert "! export" in outcome.out, outcome.out
    steps = [line.split()[:2] for line in outcome.out.partition("self-test\n")[2].splitlines()]
    assert [step[0] for step in steps if step[0] != "!"] == ["train", "kill", "resume", "evaluate", "predict"]
    assert "StepError: 2 numbers differ" in outcome.out
    assert outcome.code == 1
