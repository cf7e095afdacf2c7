"""What a week of work leaves behind: runs in every state, and the folders of every command."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Trees, _in_process

SMALL = (
    "experiment=tiny", "data=folder", "data.root=data", "data.size=32", "name=x", "task=segmentation", "logger=none",
    "callbacks.panels=null", "trainer.enable_progress_bar=false",
)  # fmt: skip


class NoCapture:
    """Stands for `capsys`, which a fixture of the session cannot have."""

    def readouterr(self) -> tuple[str, str]:
        """Nothing is captured."""
        return "", ""


def mains() -> dict[str, Callable[[], None]]:
    """The commands by name."""
    from tandem import audit, evaluate, explain_loss, export, find_lr, paper, predict, show_data, study, train

    found = {"reproduce": paper.main, "audit_data": audit.main}
    for module in (evaluate, explain_loss, export, find_lr, predict, show_data, study, train):
        found[module.__name__.rpartition(".")[2]] = module.main
    return found


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which every command was typed; nothing in it may change later."""
    place = tmp_path_factory.mktemp("week")
    Trees().folders(place / "data", 9)
    with pytest.MonkeyPatch.context() as patch:

        def typed(command: str, *words: str) -> None:
            done = _in_process(mains()[command], patch, place, NoCapture())  # type: ignore[arg-type]
            assert done(*words).code == 0, (command, words)

        def stopped(*words: Any, **more: Any) -> None:
            raise KeyboardInterrupt

        typed("train", "-m", *SMALL, "seed=0,1")
        runs = place / "runs" / "x"
        first, second = sorted(path.parent for path in runs.glob("*/results.json"))
        _in_process(mains()["train"], patch, place, NoCapture())("-m", *SMALL, "data.root=nowhere")  # type: ignore[arg-type]
        with patch.context() as stop:
            stop.setattr("tandem.train.run.train", stopped)
            _in_process(mains()["train"], stop, place, NoCapture())(*SMALL, "seed=7")  # type: ignore[arg-type]
        typed("find_lr", *SMALL, "find_lr.steps=20")
        typed("evaluate", f"run={first}", "samples=10", "cases=0", "page=false")
        typed("predict", f"run={first}", "images=data", "out=predicted")
        typed("explain_loss", "loss/binary=bce", "data.size=32", "data.val=6", "data.train=6", "data.test=6")
        typed("audit_data", "data=folder", "data.root=data", "data.size=32")
        typed("show_data", "data=folder", "data.root=data", "images=1", "versions=1")
        typed("study", "runs/x")
        first.rename(runs / "first")
        second.rename(runs / "second")
    killed = runs / "killed"
    killed.mkdir()
    (killed / "status.json").write_text('{"state": "running", "sweep": null, "job": 0, "overrides": ["seed=8"]}')
    archived = place / "unpacked" / "runs" / "x" / "first"
    archived.mkdir(parents=True)
    for name in ("results.json", "status.json", "config.yaml", "metrics.csv"):
        shutil.copy(runs / "first" / name, archived)
    (place / "unpacked" / "paper.json").write_text("{}")
    shutil.copytree(runs / "first", place / "backup" / "copy")
    (place / "links").mkdir()
    (place / "links" / "link").symlink_to(runs / "first")
    cut = Path(shutil.copytree(runs / "first", place / "cut"))
    (cut / "best.ckpt").write_bytes((cut / "best.ckpt").read_bytes()[:2000])
    wrong = Path(shutil.copytree(runs / "first", place / "wrong"))
    results = (wrong / "results.json").read_text().replace('"val/loss": 0.', '"val/loss": 9.', 1)
    (wrong / "results.json").write_text(results)
    (wrong / "artifacts.json").unlink()  # else the change is found by its digest
    (place / "empty").mkdir()
    (place / "file").touch()
    return place


@pytest.fixture(scope="session")
def left(week: Path) -> Mapping[str, Path]:
    """What lies there, by name."""
    runs = week / "runs" / "x"
    states = {path.parent: path.read_text() for path in runs.glob("*/status.json")}
    failed = next(folder for folder, text in states.items() if '"failed"' in text)
    interrupted = next(folder for folder, text in states.items() if '"interrupted"' in text)
    return {
        "run": runs / "first",
        "copy": week / "backup" / "copy",
        "link": week / "links" / "link",
        "failed": failed,
        "interrupted": interrupted,
        "killed": runs / "killed",
        "cut": week / "cut",
        "find_lr": next(path.parent for path in week.rglob("find_lr.json")),
        "study": runs / "study",
        "runs": runs,
        "evaluation": runs / "first" / "evaluation" / "test",
        "predictions": week / "predicted",
        "explain_loss": next(path.parent for path in week.rglob("explain_loss.html")),
        "audit": next(path.parent for path in week.rglob("audit.html")),
        "show_data": next((week / "runs" / "show_data").glob("*.png")),
        "archive": week / "unpacked",
        "archived run": week / "unpacked" / "runs" / "x" / "first",
        "empty": week / "empty",
        "file": week / "file",
        "nothing": week / "nothing",
    }


@pytest.fixture
def command(
    in_process: Callable[[Callable[[], None]], Callable[..., Any]], week: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Types a command in an empty working directory of its own: `command("predict", "run=...")`."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(name: str, *words: str) -> Any:
        return in_process(mains()[name])(*words)

    return run


@pytest.fixture(autouse=True)
def unchanged(week: Path) -> Iterator[None]:
    """No command changes what another has left, but for an evaluation and the tables of a study."""
    before = contents(week)
    yield
    after = contents(week)
    assert {name for name in before if before[name] != after.get(name)} == set()


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file below a folder, links followed; what a lock touches is left out."""
    found = {}
    for here, _, names in os.walk(folder):
        for name in names:
            path = Path(here) / name
            if name != ".lock" and path.exists():
                found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found
