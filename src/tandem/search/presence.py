"""Which processes work on a folder: file locks, which end with the process that holds them, however it ends."""

import os
import socket
import uuid
from contextlib import ExitStack
from pathlib import Path

from tandem.utils.locks import holding, is_held


class Presence:
    """A locked file that shows other processes that this one is alive.

    Args:
        folder: of these files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock = ExitStack()
        self._lock.enter_context(holding(folder / self.name))

    def alive(self, name: str | None) -> bool:
        """Whether the process of a file is alive; the file of a dead process is removed.

        Args:
            name: of the file; None: there is none.
        """
        if name is None or name == self.name:
            return name is not None
        path = self.folder / name
        try:
            if is_held(path):
                return True
        except FileNotFoundError:
            return False
        except OSError:
            return True
        path.unlink(missing_ok=True)
        return False

    def end(self) -> None:
        """Removes the file of this process."""
        self._lock.close()
        (self.folder / self.name).unlink(missing_ok=True)
