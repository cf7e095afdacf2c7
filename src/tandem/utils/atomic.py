"""Replaces a file as a whole: its readers see the old one or the new one, whatever ends the writer."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

before_replacing: list[Callable[[Path, Path], None]] = []
"""Called with a file and what replaces it, before it does (see `tandem.utils.written`, `tandem.utils.digests`)."""

DAY = 86_400.0
"""Seconds after which a temporary file of another machine is taken for left over."""

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<host>[^.]*)\.(?P<process>\d+)\.tmp")
_swept: set[Path] = set()
_sweeping = Lock()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the place of a temporary file beside a file, and at the end puts it in the file's place.

    Beside it, since only a rename within a file system is atomic, and another one may be full. Both the file and its
    folder are synchronised with the disk. After an error the old file stays, and the temporary one is removed; those
    that killed writers have left in the folder are removed when a process first writes there.

    Args:
        path: the file; its folder is created if it does not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    temporary = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.tmp")
    try:
        yield temporary
        _synchronise(temporary, os.O_RDWR)
        for check in before_replacing:
            check(path, temporary)
        temporary.replace(path)
        with suppress(OSError):  # some file systems, and Windows, cannot synchronise a folder
            _synchronise(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def _synchronise(path: Path, flags: int) -> None:
    number = os.open(path, flags)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _sweep(folder: Path) -> None:
    """Removes temporary files of processes of this machine that have ended, and those of other machines after a day."""
    with _sweeping:  # until it is done, no other thread writes into the folder: its file would be taken for left over
        if (place := folder.absolute()) in _swept:
            return
        for path in folder.glob(".*.tmp"):
            found = _LEFTOVER.fullmatch(path.name)
            if found is None:
                continue
            with suppress(OSError):
                old = time.time() - path.stat().st_mtime > DAY
                if old if found["host"] != _host() or os.name == "nt" else not _runs(int(found["process"])):
                    path.unlink()
        _swept.add(place)


def _host() -> str:
    return socket.gethostname().replace(".", "-")


def _runs(process: int) -> bool:
    """Whether a process runs. Not to be called on Windows, where signal 0 is Ctrl-C."""
    if process == os.getpid():
        return False  # nothing of this process is left when it first writes into a folder
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True
