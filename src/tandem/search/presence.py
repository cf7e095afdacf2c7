"""Who is at work on one folder: locks that end with the process that holds them, however it ends."""

import contextlib
import fcntl
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

# POSIX record locks, not flock: a loader's forked workers would inherit the latter, and outlive a killed process by
# some seconds. They end when a process closes any handle of the file, so no file is opened twice at a time.


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Waits until no other process is in a block of the same file, and keeps others out until its end.

    Args:
        path: the file; it and its folder are made where they are missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


class Presence:
    """A sign that this process is at work, seen by others for as long as it lives.

    Args:
        folder: where the signs lie.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._file = (folder / self.name).open("ab")
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def alive(self, name: str | None) -> bool:
        """Whether a process that left a sign is still there; the sign of a dead one is removed.

        Args:
            name: of its sign; None: it left none.
        """
        if name is None or name == self.name:
            return name is not None
        path = self.folder / name
        try:
            with path.open("r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        path.unlink(missing_ok=True)
        return False

    def end(self) -> None:
        """Takes the sign away."""
        (self.folder / self.name).unlink(missing_ok=True)
        self._file.close()
