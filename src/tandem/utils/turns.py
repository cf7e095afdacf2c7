"""Commands that write into one folder take turns."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tandem.utils.locks import Locked, NoLocks, take

log = logging.getLogger(__name__)

FOLDERS_HAVE_LOCKS = os.name != "nt"
"""Whether the system can open a folder as it opens a file."""

TURN = ".tandem_turn"
"""The file that is locked where folders have no locks."""


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Waits until no other command writes into a folder, and keeps others waiting; logs one line if it has to wait.

    The folder itself is locked, or on Windows a file in it that is removed at the end. The system releases the lock
    when the process ends, however it ends.

    Args:
        folder: created if it does not exist, and removed again if nothing was written into it.
    """
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY) if FOLDERS_HAVE_LOCKS else os.open(folder / TURN, os.O_RDWR | os.O_CREAT)
    try:
        try:
            take(place)
        except Locked:
            log.info("another command is writing into %s; this one starts when it has ended", folder)
            take(place, math.inf)
        except NoLocks as error:  # some network file systems have no locks
            log.warning("cannot lock %s (%s): do not run two commands that write into it at once", folder, error)
        yield
    finally:
        if FOLDERS_HAVE_LOCKS:
            _remove(new)
        os.close(place)
        if not FOLDERS_HAVE_LOCKS:
            with suppress(OSError):  # another command has opened it
                (folder / TURN).unlink()
            _remove(new)


def _remove(new: list[Path]) -> None:
    for made in new:
        with suppress(OSError):  # not empty
            made.rmdir()
