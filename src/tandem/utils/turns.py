"""Commands that write into one folder take turns."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Waits until no other command writes into a folder, and keeps others waiting; logs one line if it has to wait.

    The folder itself is locked (`flock(2)`), so that nothing is left in it, and the system releases the lock when the
    process ends, however it ends.

    Args:
        folder: created if it does not exist, and removed again if nothing was written into it.
    """
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another command is writing into %s; this one starts when it has ended", folder)
            fcntl.flock(place, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems have no locks
            log.warning("cannot lock %s (%s): do not run two commands that write into it at once", folder, error)
        yield
    finally:
        for made in new:
            with suppress(OSError):  # not empty
                made.rmdir()
        os.close(place)
