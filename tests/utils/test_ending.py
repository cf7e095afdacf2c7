"""A command's process ends at once, after all that waits for it; a program that calls the command goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tandem
from tandem.utils.ending import _is_command

PROGRAM = """
import atexit, logging, sys, threading, time, types, weakref
import __main__
class Slow:
    def __del__(self):
        print("taken apart")
slow = Slow()
slow.itself = slow
sys.modules[{library!r}] = types.ModuleType({library!r})
__main__.__file__ = {main!r}
atexit.register(print, "exit function")
def work():
    time.sleep(0.2)
    print("thread")
threading.Thread(target=work).start()
text, raw = open("text.txt", "w"), open("raw.bin", "wb")
text.write("kept")
raw.write(b"kept")
closed = open("closed.txt", "w")
closed.close()
sys.stdout.write("begin\\n")
from tandem.utils.ending import end_at_once
end_at_once()
print("goes on")
"""

COMMAND = Path(tandem.__file__).parent / "train" / "__main__.py"


def ended(folder: Path, main: str, library: str = "torch") -> list[str]:
    """The lines that the program prints until its end."""
    code = PROGRAM.format(main=main, library=library)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("text.txt", "raw.bin"):
        assert (folder / name).read_text() == "kept"
    return done.stdout.splitlines()


def test_a_command_ends_after_threads_exit_functions_and_files(tmp_path: Path) -> None:
    assert ended(tmp_path, str(COMMAND)) == ["begin", "thread", "exit function"]


@pytest.mark.parametrize(("main", "library"), [("train.py", "torch"), (str(COMMAND), "no_torch")])
def test_a_program_that_calls_a_command_and_a_process_without_torch_go_on(
    tmp_path: Path, main: str, library: str
) -> None:
    assert ended(tmp_path, main, library) == ["begin", "goes on", "thread", "exit function", "taken apart"]


def test_output_that_nobody_reads_is_an_error_as_without_it(tmp_path: Path) -> None:
    code = PROGRAM.format(main=str(COMMAND), library="torch")
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    process.stdout.close()
    process.wait(60)
    assert process.returncode == 120


@pytest.mark.parametrize(
    ("file", "right"),
    [
        (str(COMMAND), True),
        (str(COMMAND.parents[3] / "scripts" / "reproduce.py"), True),
        ("/usr/bin/tandem-show-data", True),
        ("Scripts/tandem-train.exe", True),
        ("/home/me/scripts/train.py", False),
        ("/site-packages/pytest/__main__.py", False),
        ("/home/me/tandem-train.py", False),
        (None, False),
    ],
)
def test_commands_are_told_from_other_programs(file: str | None, right: bool) -> None:
    assert _is_command(file) is right
