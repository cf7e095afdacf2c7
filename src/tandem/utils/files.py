"""Reads and writes files atomically, as JSON, and with checksums."""

import hashlib
import json
import math
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from tandem.errors import DataError
from tandem.utils.atomic import replacing

NO_FILE = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""What a file may not be, by the type in its mode."""

LARGEST_JSON = 256_000_000
"""Bytes; what is read as JSON needs several times as much memory."""


def from_here(path: Path) -> str:
    """A path as a person types it here: relative, where it lies below the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file atomically: a crash leaves the old file or the new one, never an incomplete one.

    Args:
        path: the file; its folder is created if it does not exist.
        write: called with a temporary file in the same folder, open in binary mode.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        write(file)


def copy_whole(path: Path, place: Path) -> None:
    """Copies a file atomically; a large one is never in memory as a whole."""
    with path.open("rb") as file:
        write_whole(place, lambda copy: shutil.copyfileobj(file, copy))


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes strict JSON atomically; numbers that are not finite become null, because JSON cannot represent them."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """The text that `write_json` writes."""
    return json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"


def check_regular(path: Path) -> None:
    """Refuses what is no plain file, after all links: to open a named pipe waits for ever, a device has no end.

    A file that is not there, or that may not be looked at, is left to whoever reads it.

    Raises:
        DataError: a named pipe, a device, a socket.
    """
    with suppress(OSError):
        _size(path)


def _size(path: Path) -> int:
    """Bytes of a plain file, in one look at it."""
    found = path.stat()
    if (kind := NO_FILE.get(stat.S_IFMT(found.st_mode))) is not None:
        raise DataError(f"{str(path)!r} is {kind}, not a file: remove it")
    return found.st_size


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        DataError: no plain file, or one too large.
        ValueError: no JSON, or lists in lists without an end.
    """
    try:
        return json.loads(read_bytes(path))
    except RecursionError:
        raise ValueError(f"{path} has lists in lists deeper than Python reads: do not trust it") from None


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes as hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
        DataError: it is not a regular file.
    """
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bytes(path: Path) -> bytes:
    """Reads a whole file of JSON.

    Raises:
        DataError: no plain file, or one too large.
    """
    if (size := _size(path)) > LARGEST_JSON:
        raise DataError(f"{path} has {size:,} bytes, more than the {LARGEST_JSON:,} that are read: do not trust it")
    return path.read_bytes()


def known_sha256(path: Path) -> str:
    """`sha256`, cached in this process while the file's size and mtime stay the same; files of weights may be large."""
    known = path.stat()
    return _read_once(path.resolve(), known.st_size, known.st_mtime_ns)


@lru_cache
def _read_once(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def shortest(value: float) -> float:
    """Returns the number with the fewest digits that rounds to the same float32, to show logged values without noise.

    Example:
        >>> shortest(0.38999998569488525)
        0.39
    """
    import numpy as np  # imported here to keep the start of the command line fast

    return float(str(np.float32(value)))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
