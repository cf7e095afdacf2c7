"""Decoded pictures on disk, kept under the digest of what they were decoded from."""

import hashlib
import logging
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.errors import DataError
from tandem.files import write_whole

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[np.uint8]]

# what a cut, overwritten or malicious .npz raises; a pickle in it is a ValueError, an absurd shape a MemoryError,
# another kind of file a TypeError
DAMAGE = (
    OSError,
    TypeError,
    ValueError,
    KeyError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


def cache_folder(given: str | None) -> Path:
    """The folder of the cache: the one given, else `$TANDEM_CACHE`, else `~/.cache/tandem`. Nothing is created."""
    return Path(given or os.environ.get("TANDEM_CACHE") or "~/.cache/tandem").expanduser()


def digest(path: Path, root: Path) -> bytes:
    """SHA-256 over the name (relative to `root`) and the bytes of a file.

    Raises:
        DataError: a file that cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read ({error.strerror}): mend the file or its rights") from error
    name = path.relative_to(root).as_posix().encode()
    # lengths, so that no name and content run together
    return hashlib.sha256(f"{len(name)}:{len(content)}:".encode() + name + content).digest()


def fetch(path: Path, shapes: Mapping[str, tuple[int, ...]], make: Callable[[], Arrays]) -> Arrays:
    """The arrays kept at `path`, or those that `make` gives, which are then kept.

    A damaged file is made anew and replaced; a folder that cannot be written costs only time. Both are logged as
    warnings.

    Args:
        path: an `.npz` file, named by the digest of everything that its content depends on.
        shapes: the name and shape of every array expected.
        make: decodes the arrays, uint8 and of these shapes.
    """
    try:
        if path.is_file():
            return read_arrays(path, shapes)
    except DAMAGE as error:
        log.warning("cache file %s is damaged (%s): decoding anew", path, error)
    arrays = make()
    try:
        write_whole(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]  # the stub mistakes a keyword
    except OSError as error:
        log.warning("cache %s cannot be written (%s), so every start decodes: set data.cache=...", path.parent, error)
    return arrays


def read_arrays(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Reads uint8 arrays from an `.npz` file, without unpickling.

    Raises:
        ValueError: an array of another type or shape. A damaged file raises one of `DAMAGE`.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # numpy leaves a damaged file open
        arrays = {name: archive[name] for name in shapes}
    for name, shape in shapes.items():
        if arrays[name].dtype != np.uint8 or arrays[name].shape != shape:
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, expected uint8 {shape}")
    return arrays
