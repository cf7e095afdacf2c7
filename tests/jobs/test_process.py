"""The supervisor of child processes, with small Python programs as children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.config.instantiate import build
from tandem.errors import ConfigError
from tandem.jobs.process import PARENT_VARIABLE, start_process, stop_processes

QUICK = ((0, signal.SIGINT), (0.3, signal.SIGTERM), (0.6, signal.SIGKILL))

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"

FOLLOW = "from tandem.jobs.process import follow_parent; follow_parent(); "

SLEEPER = FOLLOW + SLEEP  # SIGINT is ignored where the tests themselves were started with `&`

STUBBORN = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; " + SLEEP

PARENT = """
from tandem.jobs.process import start_process
import time
child = start_process(["-c", {child!r}])
print(child._popen.pid, flush=True)
time.sleep(600)
"""

FOLLOWER = """
import pathlib, time
from tandem.jobs.process import follow_parent
follow_parent()
pathlib.Path({ready!r}).touch()
time.sleep(600)
"""


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


def gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_child_has_its_variables_folder_and_log_and_gives_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "kept")
    log = tmp_path / "console.log"
    log.write_text("before\n")
    program = "import os, sys; print(*map(os.environ.get, sys.argv[1:]), os.getcwd()); sys.exit('failed')"
    arguments = ["-c", program, "OURS", "THEIRS", PARENT_VARIABLE]
    child = start_process(arguments, {"THEIRS": "new"}, str(tmp_path), log)
    assert child.wait() == 1
    assert child.poll() == 1
    assert (child.why, "THEIRS" in os.environ) == ("", False)
    assert sorted(log.read_text().splitlines()) == ["before", "failed", f"kept new {os.getpid()} {tmp_path}"]


def test_a_signal_that_ended_a_child_is_its_exit_code() -> None:
    assert start_process(["-c", "import os; os.kill(os.getpid(), 9)"]).wait() == -signal.SIGKILL


@pytest.mark.parametrize(("program", "code"), [(SLEEPER, -signal.SIGINT), (STUBBORN, -signal.SIGKILL)])
def test_a_child_is_stopped_at_its_limit_by_ever_harder_signals(tmp_path: Path, program: str, code: int) -> None:
    log = tmp_path / "log"
    child = start_process(["-c", program], console=log, limit=600, steps=QUICK)
    wait_for(lambda: "ready" in log.read_text())
    child._limit = 0
    assert child.wait() == code
    assert child.why == "timed out"


def test_children_are_stopped_together_and_nothing_that_they_started_is_left(tmp_path: Path) -> None:
    program = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]).pid, flush=True); "
    program = FOLLOW + program + SLEEP
    logs = [tmp_path / "1", tmp_path / "2"]
    children = [start_process(["-c", program], console=log, steps=QUICK) for log in logs]
    wait_for(lambda: all(log.read_text().count("ready") == 2 for log in logs))
    stop_processes(children)
    assert [child.why for child in children] == ["interrupted"] * 2
    assert [child.poll() for child in children] == [-signal.SIGINT] * 2
    for log in logs:
        pid = next(int(line) for line in log.read_text().splitlines() if line.isdigit())
        wait_for(lambda pid=pid: gone(pid))  # type: ignore[misc]


def test_a_child_is_stopped_if_the_waiting_for_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = start_process(["-c", SLEEPER], console=tmp_path / "log")
    wait_for(lambda: "ready" in (tmp_path / "log").read_text())
    poll = type(child).poll

    def interrupted(self: object) -> None:
        monkeypatch.setattr(type(child), "poll", poll)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(child), "poll", interrupted)
    with pytest.raises(KeyboardInterrupt):
        child.wait()
    assert child.poll() == -signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_follows_its_parent_ends_with_it(tmp_path: Path, number: int) -> None:
    ready = tmp_path / "ready"
    program = [sys.executable, "-c", PARENT.format(child=FOLLOWER.format(ready=str(ready)))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_for(lambda: ready.exists())
        parent.send_signal(number)
    wait_for(lambda: gone(pid))


@pytest.mark.parametrize(
    "target",
    [
        "tandem.jobs.process._Process",
        "tandem.jobs.job_process._JobProcess",
        "tandem.jobs.process.start_process",
        "tandem.jobs.job_process.start_job",
    ],
)
@pytest.mark.parametrize("slot", ["logger.x", "penalties.x", "optimizer"])
def test_no_configuration_can_start_a_process(target: str, slot: str) -> None:
    with pytest.raises(ConfigError, match=f"^{slot}: _target_ .* is not allowed; expected: "):
        build({"_target_": target, "arguments": ["-c", "print(1)"]}, slot)
