"""Which processes work on a folder: file locks, which end with the process that holds them, however it ends."""

import contextlib
import fcntl
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

# POSIX record locks, not flock: forked workers of a data loader would inherit a flock, and outlive a killed process by
# some seconds. A record lock ends when the process closes any handle of the file, so no file is opened twice.


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Waits until no other process holds the lock of the file, and holds it until the block ends.

    Args:
        path: the file; it and its folder are created if they are missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


class Presence:
    """A locked file that shows other processes that this one is alive.

    Args:
        folder: of these files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._file = (folder / self.name).open("ab")
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def alive(self, name: str | None) -> bool:
        """Whether the process of a file is alive; the file of a dead process is removed.

        Args:
            name: of the file; None: there is none.
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
        """Removes the file of this process."""
        (self.folder / self.name).unlink(missing_ok=True)
        self._file.close()
