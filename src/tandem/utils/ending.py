"""The end of a command's process: at once, after all that waits for it is done.

Python takes the objects of torch and Lightning apart one by one before a process ends, for more than a second. The
system frees the memory of an ended process anyway.
"""

import atexit
import gc
import io
import os
import sys
import threading
from pathlib import Path

from tandem.utils.commands import SCRIPTS, installed_name

PACKAGE = Path(__file__).parents[1]


def end_at_once() -> None:
    """Ends a process that has done its work with exit code 0, as Python does, but without taking its objects apart.

    Waits for threads, calls what is registered with `atexit`, and writes what open files still hold. Returns without
    any effect in a program that only calls the command, such as a notebook or a test, in a process without torch, which
    ends at once by itself, and where Python cannot do this.
    """
    if "torch" not in sys.modules or not _is_command(getattr(sys.modules["__main__"], "__file__", None)):
        return
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        _write_open_files()
    except (AttributeError, OSError, ValueError):  # another Python, or nobody reads what is printed: Python says so
        return
    os._exit(0)


def _is_command(file: str | None) -> bool:
    """Whether the main program is a command of tandem, behind which there is nothing left to do."""
    if file is None:
        return False
    path = Path(file).absolute()
    modules = {PACKAGE / package / "__main__.py" for package in SCRIPTS}
    scripts = {PACKAGE.parents[1] / "scripts" / f"{script}.py" for script in SCRIPTS.values()}
    installed = path.stem in map(installed_name, SCRIPTS) and path.suffix in ("", ".exe")
    return path in modules | scripts or installed


def _write_open_files() -> None:
    """Writes what files that nobody has closed still hold, the standard streams too."""
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    found = [one for one in gc.get_objects() if type(one) in kinds]
    for file in sorted(found, key=lambda one: kinds.index(type(one))):  # text first, which has a buffered file below
        if not file.closed and file.writable():
            file.flush()
