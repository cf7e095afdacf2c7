"""Whether files still lie as they were: what spares a start reading every byte of a large data set."""

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tandem.utils.files import write_text

log = logging.getLogger(__name__)

SETTLED = 2.0
"""Seconds since the last change of a file before its times are trusted: within those of a coarse clock, two changes may
have one time."""


def names_below(root: Path) -> Callable[[Path], str]:
    """Gives the path from a folder to a file below it as text; as `relative_to`, in a tenth of the time.

    Example:
        >>> names_below(Path("data"))(Path("data/benign/a.png"))
        'benign/a.png'
    """
    start = str(root / "_")[:-1]
    return lambda path: str(path).removeprefix(start)


def state_of(files: Iterable[Path], root: Path) -> str | None:
    """SHA-256 over name, inode, size and times (of content and of status) of each file, of which no byte is read.

    Whoever changes a file changes its times, and nobody but the system can set the time of status. So files of equal
    state have equal bytes.

    Args:
        files: below the root, in order.
        root: the folder that names are relative to.

    Returns:
        The digest, or None where a file is absent or was changed within the last `SETTLED` seconds.
    """
    name_of, whole = names_below(root), hashlib.sha256()
    latest, settled = 0, time.time_ns() - int(1e9 * SETTLED)
    for path in files:
        try:
            seen = os.stat(path)  # noqa: PTH116  # a quarter faster than the method, for hundreds of thousands
        except OSError:
            return None  # told of by whoever reads it
        latest = max(latest, seen.st_mtime_ns, seen.st_ctime_ns)
        times = f"{seen.st_mtime_ns}|{seen.st_ctime_ns}"
        whole.update(f"{name_of(path)}|{seen.st_ino}|{seen.st_size}|{times}\n".encode())
    return whole.hexdigest() if latest < settled else None


def recall(note: Path) -> str | None:
    """The SHA-256 that `remember` wrote, or None where there is none."""
    try:
        text = note.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None  # so every byte is read
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def remember(note: Path, fingerprint: str) -> None:
    """Writes a SHA-256 for the next start; where that cannot be done, it reads every byte again."""
    try:
        write_text(note, f"{fingerprint}\n")
    except OSError as error:
        log.info("%s cannot be written (%s): the next start reads all files again", note, error)
