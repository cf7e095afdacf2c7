"""Detects unchanged files without rereading them, so that a start does not read every byte of a large data set."""

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tandem.utils.files import write_text, write_whole

log = logging.getLogger(__name__)

SETTLED = 2.0
"""Seconds that must have passed since the last change of a file before its timestamps are trusted: with a coarse clock,
two changes in quick succession can get the same timestamp."""


def names_below(root: Path) -> Callable[[Path], str]:
    """Returns a function that gives the path of a file relative to a folder; as `relative_to`, but ten times as fast.

    Example:
        >>> names_below(Path("data"))(Path("data/benign/a.png"))
        'benign/a.png'
    """
    start = str(root / "_")[:-1]
    return lambda path: str(path).removeprefix(start)


def state_of(files: Iterable[Path], root: Path) -> str | None:
    """SHA-256 of the name, inode, size, mtime and ctime of each file; reads no content.

    Changing a file changes its timestamps, and only the system can set the ctime. So files with equal state have equal
    bytes.

    Args:
        files: files below the root, in order.
        root: the folder that names are relative to.

    Returns:
        The digest, or None if a file is absent or was changed within the last `SETTLED` seconds.
    """
    name_of, whole = names_below(root), hashlib.sha256()
    latest, settled = 0, time.time_ns() - int(1e9 * SETTLED)
    for path in files:
        try:
            seen = os.stat(path)  # noqa: PTH116  # a quarter faster than the method, for hundreds of thousands
        except OSError:
            return None  # a missing file is reported later, by the code that reads it
        latest = max(latest, seen.st_mtime_ns, seen.st_ctime_ns)
        times = f"{seen.st_mtime_ns}|{seen.st_ctime_ns}"
        whole.update(f"{name_of(path)}|{seen.st_ino}|{seen.st_size}|{times}\n".encode())
    return whole.hexdigest() if latest < settled else None


def recall(note: Path) -> str | None:
    """Reads the SHA-256 that `remember` wrote; None if there is none."""
    try:
        text = note.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None  # then every byte is read
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def remember(note: Path, fingerprint: str) -> None:
    """Stores a SHA-256 for the next start; if that fails, the next start reads every byte again."""
    try:
        write_text(note, f"{fingerprint}\n")
    except OSError as error:
        log.info("%s cannot be written (%s): the next start reads all files again", note, error)


def remember_digests(cache: Path, state: str, digests: Sequence[bytes]) -> None:
    """Stores the SHA-256 of each file beside the note of all files, for `recall_digests`."""
    try:
        write_whole(_digests(cache, state), lambda file: file.write(b"".join(digests)))
    except OSError as error:
        log.info("%s cannot be written (%s): the next start reads all files again", _digests(cache, state), error)


def has_digests(cache: Path, state: str) -> bool:
    """Whether `remember_digests` has stored the digests of files in this state."""
    return _digests(cache, state).is_file()


def recall_digests(cache: Path, files: Sequence[Path], root: Path) -> list[str] | None:
    """The first 16 digits of each file's SHA-256, if they were stored and no file has changed since; None otherwise.

    Args:
        cache: folder of the cache.
        files: as given to `state_of`.
        root: likewise.
    """
    state = state_of(files, root) if files else None
    if state is None:
        return None
    try:
        stored = _digests(cache, state).read_bytes()
    except OSError:
        return None
    if len(stored) != 32 * len(files):
        return None
    return [stored[start : start + 8].hex() for start in range(0, len(stored), 32)]


def _digests(cache: Path, state: str) -> Path:
    return cache / f"digests-{state}.bin"
