"""Disk cache of decoded images, named by the digest of their source files and memory-mapped when read."""

import hashlib
import logging
import os
import re
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tandem.errors import ConfigError, DataError
from tandem.utils.files import check_regular, write_whole
from tandem.utils.locks import Locked, NoLocks, holding

if TYPE_CHECKING:
    from tandem.data.loading.storage import Mapped

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
Shapes = Mapping[str, tuple[int, ...]]

# Exceptions that a truncated, overwritten or malicious .npz file raises: a pickle in it raises ValueError, an absurd
# shape MemoryError, another kind of file TypeError.
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

DTYPES = tuple(np.dtype(code) for code in ("|u1", "<u2", "<f4"))
"""What pixels may be."""

LIMIT, LIMIT_GB = "TANDEM_CACHE_GB", 100.0
"""Environment variable: GB that decoded images may occupy in the cache; and what it is without one."""

OWN = re.compile(r"-[0-9a-f]{64}\.npz$")
"""Names of the files of decoded images."""

DAY = 24 * 60 * 60.0
"""Seconds without use after which decoded images may be removed."""

LOCAL_HEADER = struct.Struct("<26xHH")
"""Lengths of the name and of the extra field in the local header of a zip member."""


def cache_folder(given: str | None) -> Path:
    """Returns the folder of the cache: the given one, else `$TANDEM_CACHE`, else `~/.cache/tandem`; creates nothing."""
    return Path(given or os.environ.get("TANDEM_CACHE") or "~/.cache/tandem").expanduser()


def cache_bytes() -> float:
    """How many bytes decoded images may occupy in the cache.

    Raises:
        ConfigError: `$TANDEM_CACHE_GB` is no number of at least 0.
    """
    given = os.environ.get(LIMIT, str(LIMIT_GB))
    try:
        found = float(given)
    except ValueError:
        found = -1.0
    if not found >= 0:
        raise ConfigError(f"{LIMIT} is '{given}' in the environment, but must be a number of GB from 0")
    return 1e9 * found


def digest(path: Path, name: str) -> bytes:
    """SHA-256 of a file's name (with slashes) and bytes.

    Raises:
        DataError: the file cannot be read.
    """
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read ({error.strerror}): fix the file or its permissions") from error
    known = name.encode()
    # lengths first, so that name and content cannot run together
    return hashlib.sha256(f"{len(known)}:{len(content)}:".encode() + known + content).digest()


def fetch(path: Path, shapes: Shapes, make: Callable[[], Iterable[Arrays]]) -> "dict[str, Mapped] | None":
    """Returns the arrays cached at `path`, memory-mapped; computes and stores them first if necessary.

    A damaged file is replaced. Returns None if the folder cannot be written. Both cases log a warning. Of several
    processes one writes, and the others wait for it. What was not used for a day gives way (`$TANDEM_CACHE_GB`).

    Args:
        path: an `.npz` file, named by the digest of everything that its content depends on.
        shapes: name and shape of every expected array.
        make: yields the arrays, a few rows at a time, all parts of the same dtypes; called at most once.
    """
    most = cache_bytes()
    if (known := _mapped(path, shapes)) is not None:
        return known
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_writer(path) as waited:
            if waited and (known := _mapped(path, shapes)) is not None:
                return known
            write_whole(path, lambda file: write_arrays(file, path.parent, shapes, make()))
            _remove_old(path, most)
            return map_arrays(path, shapes)
    except OSError as error:
        log.warning("cache %s cannot be written (%s), so every start decodes: set data.cache=...", path.parent, error)
        return None


def _mapped(path: Path, shapes: Shapes) -> "dict[str, Mapped] | None":
    """The arrays of a file; None if there is none, or if it is damaged."""
    try:
        if path.is_file():
            found = map_arrays(path, shapes)
            with suppress(OSError):  # of others, who may read it only
                os.utime(path)
            return found
    except DAMAGE as error:
        log.warning("cache file %s is damaged (%s): decoding again", path, error)
    return None


@contextmanager
def _one_writer(path: Path) -> Iterator[bool]:
    """Holds the right to write a file, and says whether another process had it meanwhile; its end frees it."""
    lock = path.with_suffix(".lock")
    with ExitStack() as stack:
        waited = False
        try:
            try:
                stack.enter_context(holding(lock, patience=0.0))
            except Locked:
                log.info("another process decodes into %s: waiting for it", path)
                waited = True
                stack.enter_context(holding(lock))
        except NoLocks:
            log.debug("%s has no locks: each process decodes, and the last one's file stays", path.parent)
        try:
            yield waited
        finally:
            with suppress(OSError):  # on Windows, while others wait for it
                lock.unlink(missing_ok=True)


def _remove_old(path: Path, most: float) -> None:
    """Removes decoded images that were not used for a day, the oldest first, until no more than `most` bytes are left.

    Args:
        path: the newest file, which counts and stays.
        most: bytes.
    """
    others = [file for file in path.parent.glob("*.npz") if OWN.search(file.name) and file != path]
    kept = [(file.stat().st_mtime, file.stat().st_size, file) for file in others]
    total, now = path.stat().st_size + sum(size for _, size, _ in kept), time.time()
    for used, size, file in sorted(kept):
        if total <= most or now - used < DAY:
            return
        log.info("cache: %s removed, since decoded images need more than %g GB ($%s)", file, most / 1e9, LIMIT)
        file.unlink(missing_ok=True)
        total -= size


def write_arrays(file: IO[bytes], folder: Path, shapes: Shapes, parts: Iterable[Arrays]) -> None:
    """Writes arrays of pixels to an uncompressed `.npz` file, with at most one part of them in memory.

    Args:
        file: open in binary mode.
        folder: for temporary files, one for each array, because the arrays follow each other in the file.
        shapes: name and shape of every array.
        parts: yields some rows of every array at a time, in order.
    """
    with ExitStack() as stack, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        spools = {name: stack.enter_context(TemporaryFile(dir=folder)) for name in shapes}
        kinds = dict.fromkeys(shapes, DTYPES[0])
        for part in parts:
            for name, spool in spools.items():
                kinds[name] = part[name].dtype
                spool.write(part[name].astype(kinds[name].newbyteorder("<"), copy=False).tobytes())
        for name, shape in shapes.items():
            spools[name].seek(0)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": kinds[name].newbyteorder("<").str, "fortran_order": False, "shape": shape}
                npy.write_array_header_1_0(member, header)
                shutil.copyfileobj(spools[name], member, 2**20)


def map_arrays(path: Path, shapes: Shapes) -> "dict[str, Mapped]":
    """Memory-maps the arrays of an `.npz` file, without unpickling, after verifying the checksum of every byte.

    Raises:
        ValueError: an array has another dtype or shape, or is compressed. A damaged file raises one of `DAMAGE`.
    """
    from tandem.data.loading.storage import Mapped  # imports torch, which the names of files do not need

    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if bad := archive.testzip():
            raise zipfile.BadZipFile(f"bad checksum of {bad}")
        places = {name: _place(file, archive, name, shape) for name, shape in shapes.items()}
        return {name: Mapped(path, offset, shapes[name], dtype) for name, (offset, dtype) in places.items()}


def _place(file: IO[bytes], archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> tuple[int, np.dtype[Any]]:
    """Returns the byte offset of an array's data in the file, and their dtype."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as member:
        version = npy.read_magic(member)
        found, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(member)
        header = member.tell()
    size = int(np.prod(shape)) * dtype.itemsize
    right = dtype in DTYPES and found == shape and not fortran and entry.file_size == header + size
    if not right or entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is {dtype} {found}, expected pixels {shape}, in C order and uncompressed")
    file.seek(entry.header_offset)
    name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return int(entry.header_offset + LOCAL_HEADER.size + name_length + extra_length + header), dtype
