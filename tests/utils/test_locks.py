"""Locks end with their process and keep others out; folders whose system has no locks of folders take turns too."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tandem.utils import locks, turns
from tandem.utils.locks import Locked, holding, is_held, take
from tandem.utils.turns import TURN, taking_turns

HOLD = """
import sys, time
from pathlib import Path
from tandem.utils.locks import holding
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_frees_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_held(path)
        with pytest.raises(Locked), holding(path, patience=0.1):
            pass
        process.kill()
        process.wait()
    assert not is_held(path)
    with holding(path, patience=0):
        assert is_held(path)


def test_what_is_written_into_a_locked_file_is_read_by_others(tmp_path: Path) -> None:
    with holding(tmp_path / "lock") as file:
        file.write(b"mine")
        assert (tmp_path / "lock").read_bytes() == b"mine"


def test_waiting_ends_with_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = os.fork()
    if process == 0:
        with holding(path):
            (tmp_path / "held").touch()
            time.sleep(0.3)
            (tmp_path / "end").touch()
        os._exit(0)
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with holding(path):
        assert (tmp_path / "end").exists()
    os.waitpid(process, 0)


@pytest.mark.parametrize("folders_have_locks", [True, False])
def test_turns_leave_nothing_behind(folders_have_locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "FOLDERS_HAVE_LOCKS", folders_have_locks)
    folder = tmp_path / "a" / "b"
    with taking_turns(folder):
        place = os.open(folder if folders_have_locks else folder / TURN, os.O_RDONLY)
        with pytest.raises(Locked):
            take(place)
        os.close(place)
    assert list(tmp_path.iterdir()) == []
    with taking_turns(folder):
        (folder / "x").touch()
    assert [path.name for path in folder.iterdir()] == ["x"]


def test_the_first_byte_of_a_locked_file_is_left_out_where_the_system_locks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tandem.jobs import RunningElsewhere, lock, locked

    monkeypatch.setattr(lock, "LOCKED_BYTES", 1)
    with locked(tmp_path), pytest.raises(RunningElsewhere, match=f"by process {os.getpid()} on"), locked(tmp_path):
        pass
    assert (tmp_path / lock.LOCK).read_bytes().startswith(b"\nprocess ")
    assert locks.LOCKED_BYTES == 0
