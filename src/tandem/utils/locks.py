"""Locks on files, on every system (filelock): the system releases one when its process ends, however it ends."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import lock_descriptor

POLL = 0.05
"""Seconds between two attempts."""

LOCKED_BYTES = 1 if os.name == "nt" else 0
"""Bytes at the start of a locked file that no other process can read: Windows locks the first one itself."""

_held: set[BinaryIO] = set()


class Locked(Exception):  # noqa: N818 (a state of the file, not an error)
    """Another process holds the lock."""


class NoLocks(OSError):  # noqa: N818 (what a file system has)
    """A file system, such as some of networks, has no locks."""


@contextmanager
def holding(path: Path, patience: float = math.inf) -> Iterator[BinaryIO]:
    """Holds the lock of a file.

    On a network file system, machines exclude each other only if that system supports locks.

    Args:
        path: the file; it and its folder are created if they are missing, and the file stays.
        patience: seconds to wait for another process that holds the lock.

    Yields:
        The open file, unbuffered.

    Raises:
        Locked: another process still holds it.
        NoLocks: the file system has none.
        OSError: the file cannot be opened.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "lock"
        >>> with holding(file):
        ...     is_held(file)
        True
        >>> is_held(file)
        False
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file, _kept_from_children(file):
        take(file.fileno(), patience)
        yield file


def take(descriptor: int, patience: float = 0.0) -> None:
    """Locks an open file, or on systems other than Windows an open folder, until it is closed.

    Raises:
        Locked: another process still holds the lock after `patience` seconds.
        NoLocks: the file system has none.
    """
    end = time.monotonic() + patience
    while not _try(descriptor):
        if time.monotonic() >= end:
            raise Locked
        time.sleep(POLL)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file.

    Raises:
        OSError: that cannot be found out, or there is no such file.
    """
    with _opened(path) as file:
        try:
            take(file.fileno())
        except Locked:
            return True
    return False


def _try(descriptor: int) -> bool:
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        raise NoLocks(*error.args) from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb+", buffering=0)  # network file systems lock only what can be written
    except PermissionError:
        return path.open("rb", buffering=0)


@contextmanager
def _kept_from_children(file: BinaryIO) -> Iterator[None]:
    """A forked process, such as a data loader's worker, would keep the lock after its parent was killed."""
    _held.add(file)
    try:
        yield
    finally:
        _held.discard(file)


def _close_in_child() -> None:
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
