"""Several processes of one search: which are replaced, what they are told, and how they are stopped."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.jobs.process import start_process
from tandem.search import processes
from tandem.search.processes import REPLACEMENTS, SINCE, run_processes

Programs = Callable[..., list[Any]]

KILLED = "import os; os.kill(os.getpid(), 9)"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Makes further processes run these programs, one after the other, the last one for all that follow."""

    def make(*texts: str) -> list[Any]:
        started: list[Any] = []

        def start(arguments: list[str], variables: dict[str, str], **options: Any) -> Any:
            text = texts[min(len(started), len(texts) - 1)]
            if not text:
                raise KeyboardInterrupt
            started.append(start_process(["-c", text, *arguments], variables, **options))
            return started[-1]

        monkeypatch.setattr(processes, "start_process", start)
        monkeypatch.setattr(processes, "LOOK", 0.02)
        return started

    return make


def test_each_process_runs_the_same_command_and_knows_the_first_trial(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["search.py", "seed=1"])
    programs(f"import os, sys; print(*sys.argv[1:], os.environ['{SINCE}'])")
    assert run_processes(2, since=5)
    assert capfd.readouterr().out == "-m tandem.search seed=1 5\n" * 2


def test_a_killed_process_is_replaced_and_one_that_fails_is_not(programs: Programs) -> None:
    started = programs(KILLED, KILLED, "pass")
    assert run_processes(1, since=0)
    assert [each.poll() for each in started] == [-signal.SIGKILL, -signal.SIGKILL, 0]
    started = programs("raise SystemExit(1)")
    assert not run_processes(2, since=0)
    assert len(started) == 2


def test_processes_that_are_always_killed_are_not_replaced_for_ever(programs: Programs) -> None:
    started = programs(KILLED)
    assert run_processes(1, since=0)
    assert len(started) == 1 + REPLACEMENTS


def test_ctrl_c_stops_the_processes_and_waits_for_them(programs: Programs, tmp_path: Path) -> None:
    tidy = f"""
import pathlib, time
from tandem.jobs.process import follow_parent
follow_parent()  # SIGINT is ignored where the tests themselves were started with `&`
try:
    pathlib.Path({str(tmp_path)!r}, "ready").touch()
    time.sleep(600)
except KeyboardInterrupt:
    pathlib.Path({str(tmp_path)!r}, "tidied").touch()
"""
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path)!r}, 'ready').exists(): time.sleep(0.02)\n"
    started = programs(tidy, waits + KILLED, "")
    with pytest.raises(KeyboardInterrupt):
        run_processes(2, since=0)
    assert (tmp_path / "tidied").exists()
    assert [each.poll() for each in started] == [0, -signal.SIGKILL]
