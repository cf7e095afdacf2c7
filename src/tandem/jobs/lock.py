"""A lock in a job's folder, so that only one process runs the job. The lock ends with the process that holds it."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.errors import TandemError

log = logging.getLogger(__name__)

LOCK = ".lock"


class RunningElsewhere(TandemError):  # noqa: N818 (a state of the job, not an error)
    """Another process is running this job."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock. The system releases it when the process ends, however it ends (`flock(2)`).

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
    with (folder / LOCK).open("ab+", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode().strip() or "another process"
            raise RunningElsewhere(f"{folder} is being run by {holder}: not run again") from None
        except OSError as error:  # some network file systems have no locks
            log.warning("cannot lock %s (%s): a second launch at the same time would run the same jobs", folder, error)
        # a forked process, such as a data loader's worker, would keep the lock after its parent was killed
        os.register_at_fork(after_in_child=file.close)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process holds a folder's lock; False if that cannot be found out."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
