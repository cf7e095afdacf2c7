"""A lock in a job's folder, so that only one process runs the job. The lock ends with the process that holds it."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tandem.errors import TandemError
from tandem.utils.locks import LOCKED_BYTES, Locked, NoLocks, holding, is_held

log = logging.getLogger(__name__)

LOCK = ".lock"

PATIENCE = 0.2
"""Seconds to wait: a command that only asks whether a job runs holds its lock for a moment."""


class RunningElsewhere(TandemError):  # noqa: N818 (a state of the job, not an error)
    """Another process is running this job."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock. The system releases it when the process ends, however it ends.

    The lock file stays and contains the id of the last process that held the lock. On a network file system, machines
    exclude each other only if that system supports locks.

    Args:
        folder: created if it is missing.

    Raises:
        RunningElsewhere: another process holds the lock.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with locked(folder):
        ...     with locked(folder):
        ...         pass
        Traceback (most recent call last):
        tandem.jobs.lock.RunningElsewhere: ... is being run by process ... on ...: not run again
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(holding(folder / LOCK, PATIENCE))
        except Locked:
            raise RunningElsewhere(f"{folder} is being run by {_holder(folder)}: not run again") from None
        except NoLocks as error:  # some network file systems have no locks
            log.warning("cannot lock %s (%s): a second launch at the same time would run the same jobs", folder, error)
        else:
            file.truncate(0)
            file.write(b"\n" * LOCKED_BYTES + f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds a folder's lock; False if that cannot be found out."""
    try:
        return is_held(folder / LOCK)
    except OSError:
        return False


def _holder(folder: Path) -> str:
    with (folder / LOCK).open("rb", buffering=0) as file:
        file.seek(LOCKED_BYTES)
        return (file.read() or b"").decode(errors="replace").strip() or "another process"
