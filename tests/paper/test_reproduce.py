"""`scripts/reproduce.py`: a paper from nothing, again, verified, archived, rebuilt; and what is refused in one line."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.jobs.process import start_process
from tandem.paper import main
from tandem.paper.command import Done, reproduce
from tandem.paper.launch import train as launched
from tandem.paper.settings import PaperSettings, read_settings, spelled

InProcess = Callable[[Callable[[], None]], Callable[..., Any]]


def asked(*overrides: str, **more: Any) -> PaperSettings:
    """What is asked, composed as the command line would."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return read_settings(resolve(compose("reproduce", list(overrides))), **more)


@pytest.mark.full
def test_a_paper_from_nothing_to_its_archive_and_back(
    trained: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ("paper=quick", "budget=test")
    done = reproduce(asked(*quick, "verify=1", "archive=true", command=["reproduce.py", *quick]))
    assert done.good
    assert [check.verdict for check in done.checks] == ["identical"]
    assert done.checks[0].exact, "on a CPU with the same threads bit for bit"
    out = tmp_path / "runs" / "papers" / "quick"
    assert len(list(tmp_path.glob("runs/paper_quick/*/results.json"))) == 3
    for name in ("main", "main_comparison"):
        assert all((out / "tables" / f"{name}.{ending}").stat().st_size for ending in ("csv", "md", "tex"))
    assert "Budget 'test'" in (out / "tables" / "main.tex").read_text()
    assert all((out / "figures" / f"main.{ending}").stat().st_size for ending in ("pdf", "png"))
    manifest = json.loads((out / "manifest.json").read_text())
    check_manifest(manifest)
    assert str(tmp_path) not in (out / "manifest.json").read_text(), "no folder of this machine"
    assert len(trained) == 2

    again = reproduce(asked(*quick))
    assert len(trained) == 2, "what is finished is not run again"
    assert again.good

    (first, *_) = tmp_path.glob("runs/paper_quick/*/results.json")
    first.rename(first.with_name("gone.json"))
    lacking = reproduce(asked(*quick, "launch=false"))
    assert not lacking.good
    assert len(lacking.lacking) == 1
    assert first.parent.name in lacking.lacking[0]
    assert lacking.lacking[0] in (out / "tables" / "main.md").read_text().replace("\\", "")

    rebuilt = reproduce(asked("archive=runs/papers/quick.zip"))
    assert rebuilt.good
    assert rebuilt.changed == [], "byte for byte"
    assert json.loads((rebuilt.out / "manifest.json").read_text()) == manifest
    assert len(trained) == 2


def check_manifest(manifest: dict[str, Any]) -> None:
    """The manifest records the provenance of the numbers."""
    assert manifest["command"] == "reproduce.py paper=quick budget=test"
    assert manifest["packages"]["torch"]
    assert manifest["hardware"]["cores"]
    assert (manifest["seeds"], manifest["mixed"]) == ([0], {})
    assert len(manifest["data"]) == 1, "one data set, by its fingerprint"
    assert manifest["data"][0]["runs"] == 3
    assert all(run["state"] == "finished" and run["seconds"] and run["threads"] for run in manifest["runs"])
    assert {"git", "lock", "seconds", "budget", "diff"} <= manifest.keys()


def test_a_job_that_fails_is_listed_and_the_others_are_tabulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, paper_node: dict[str, Any]
) -> None:
    made = [make.run("seg", 0, [("benign", 10, 10, 5, "")]), make.run("cls", 0, [("benign", 0, 0, 0, "benign")])]
    failed = make.job("cls", 1)

    def fail(words: Sequence[str], threads: int | None = None) -> int:
        (make.folder / failed.place).mkdir()
        status = {"state": "failed", "error": "DataError: no such file", "overrides": list(failed.overrides)}
        (make.folder / failed.place / "status.json").write_text(json.dumps(status))
        return 1

    monkeypatch.setattr("tandem.paper.launch.train", fail)
    monkeypatch.setattr("tandem.paper.command.find_jobs", lambda *arguments: [*made, failed])
    settings = asked("paper=quick", f"runs={make.folder}", f"out={tmp_path / 'out'}")
    done: Done = reproduce(PaperSettings(**{**settings.__dict__, "paper": paper_node}))
    assert not done.good
    assert done.lacking == [f"{failed.place} (task=cls seed=1): failed: DataError: no such file"]
    assert "| Cls | 1 |" in (tmp_path / "out" / "tables" / "main.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no paper is chosen; set for instance paper=quick, or archive=FILE"),
        (["paper=quik"], "no option 'quik' in the config group 'paper': did you mean 'quick'?"),
        (["paper=quick", "budget=gpu"], "budget is 'gpu', which paper 'quick' does not have"),
        (["paper=quick", "archive=x.zip"], "archive=x.zip holds its own paper"),
        (["archive=x.zip"], "archive=x.zip: file not found"),
        (["paper=quick", "rerun=true"], "rerun=true trains the runs of an archive again"),
        (["paper=quick", "verify=-1"], "verify is -1, but must be at least 0"),
        (["paper=quick", "tolerance=-1"], "tolerance is -1.0, but must be at least 0"),
        (["paper=loss_ablation"], "the paper's studies need data.root; set data.root=PATH"),
        (
            ["paper=curated_busi", "data.root=no/such", "data.subset=no/such.csv"],
            "data.root is 'no/such', which does not exist",
        ),
        (["-m", "paper=quick"], "-m is for training"),
    ],
)
def test_what_cannot_be_is_one_line(in_process: InProcess, words: list[str], said: str) -> None:
    done = in_process(main)(*words)
    assert done.code == 1
    assert said in done.error


def test_flags_are_overrides() -> None:
    assert spelled(["--verify", "--verify=3", "--archive", "--rerun", "--help", "seed=1"]) == [
        "verify=true", "verify=3", "archive=true", "rerun=true", "--help", "seed=1",
    ]  # fmt: skip
    assert (asked("paper=quick", "verify=true").verify, asked("paper=quick", "verify=3").verify) == (2, 3)


def test_the_launched_command_is_that_of_training(capfd: pytest.CaptureFixture[str]) -> None:
    assert launched(["--version"], threads=1) == 0
    assert capfd.readouterr().out.startswith("tandem-mtl")
    assert launched(["--no-such-flag"]) != 0


def test_a_launched_command_that_was_interrupted_interrupts_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(arguments: list[str], variables: dict[str, str], **options: Any) -> Any:
        assert arguments == ["-m", "tandem.train", "seed=1"]
        return start_process(["-c", "raise SystemExit(130)"], variables, **options)

    monkeypatch.setattr("tandem.paper.launch.start_process", start)
    with pytest.raises(KeyboardInterrupt):
        launched(["seed=1"])
