"""A task that does next to nothing, under tandem's command line: in this process, or in one of its own."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tandem.utils.files import read_json

Command = Callable[..., Any]
Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `fake_task`, which jobs in processes of their own find as well."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return importlib.import_module("fake_task")


@pytest.fixture
def fake_train(fake: ModuleType, in_process: Callable[[Callable[[], None]], Command]) -> Command:
    """The task's command in this process and in `tmp_path`."""
    return in_process(fake.main)


@pytest.fixture
def start(fake: ModuleType, tmp_path: Path) -> Iterator[Started]:
    """Starts the task's command in a process of its own, in `tmp_path`: `start("-m", "seed=1,2", FAKE_SECONDS="9")`."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", fake.__name__, *words],
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # ignored where the tests themselves were started with `&`
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


class Jobs:
    """What the jobs below a folder have left, by their seed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, seed: int) -> Path:
        """The folder of one job."""
        (found,) = [path.parent for path in self.root.glob("runs/*/*/status.json") if _seed(path.parent) == seed]
        return found

    def status(self, seed: int) -> dict[str, Any]:
        """Its status file."""
        status: dict[str, Any] = read_json(self.folder(seed) / "status.json")
        return status

    def results(self, seed: int) -> dict[str, Any]:
        """Its results."""
        results: dict[str, Any] = read_json(self.folder(seed) / "results.json")
        return results

    def attempts(self) -> dict[int, int]:
        """How often each job was begun."""
        return {_seed(path.parent): len(_lines(path)) for path in self._tries()}

    def processes(self) -> list[int]:
        """The process of each attempt."""
        return [int(line) for path in self._tries() for line in _lines(path)]

    def wait_for(self, count: int) -> list[int]:
        """Waits until so many attempts were begun; gives their processes."""
        until = time.monotonic() + 60
        while len(self.processes()) < count:
            assert time.monotonic() < until, "the jobs were not begun"
            time.sleep(0.05)
        return self.processes()

    def _tries(self) -> list[Path]:
        return list(self.root.glob("runs/*/*/attempts"))


def _seed(folder: Path) -> int:
    typed = read_json(folder / "status.json")["overrides"]
    return next(int(word.removeprefix("seed=")) for word in typed if word.startswith("seed="))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    """What jobs have left in `tmp_path`."""
    return Jobs(tmp_path)


def gone(process: int) -> bool:
    """Whether a process has ended, within ten seconds."""
    until = time.monotonic() + 10
    while Path(f"/proc/{process}/stat").exists():
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def has_gone() -> Callable[[int], bool]:
    """Tells whether a process has ended."""
    return gone
