"""One process at a time runs a job: a lock in its folder, which its holder's death releases."""

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


class RunningElsewhere(TandemError):  # noqa: N818 (a state of the job, no fault)
    """Another process is running this job."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock. The system releases it when the process ends, in whichever way (`flock(2)`).

    The file stays, with the number of its last holder's process in it; on a network file system the lock holds
    between machines as far as that system knows locks.

    Args:
        folder: made where it is missing.

    Raises:
        RunningElsewhere: it is held already.

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
            log.warning("%s cannot be locked (%s): a second launch at the same time would not notice", folder, error)
        # A forked helper, such as a loader's worker, would hold on to the lock after its parent was killed.
        os.register_at_fork(after_in_child=file.close)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
