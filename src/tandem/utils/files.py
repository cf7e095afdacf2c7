"""Files that are either whole or not there."""

import hashlib
import json
import math
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

before_replacing: list[Callable[[Path, Path], None]] = []
"""Called with a file and what replaces it, before it does (see `tandem.utils.written`)."""


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file so that a crash leaves the old one or the new one, never half of one.

    Args:
        path: the file; its folder is made where it is missing.
        write: called with a temporary file, open for bytes, in the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        for check in before_replacing:
            check(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes strict JSON, whole or not at all; a number that is not finite becomes null, which JSON can say."""
    write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex digits.

    Raises:
        OSError: a file that cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """`sha256`, read once for all who ask in this process, as long as the file stays as it is; weights may be large."""
    known = path.stat()
    return _read_once(path.resolve(), known.st_size, known.st_mtime_ns)


@lru_cache
def _read_once(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def shortest(value: float) -> float:
    """The number with the fewest digits that is the same float32: what was logged in single precision, without noise.

    Example:
        >>> shortest(0.38999998569488525)
        0.39
    """
    import numpy as np  # not at the top: the command line needs this module before it can answer

    return float(str(np.float32(value)))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
