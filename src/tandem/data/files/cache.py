"""Disk cache of decoded images, named by the digest of their source files and memory-mapped when read."""

import hashlib
import logging
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tandem.data.loading.storage import Mapped
from tandem.errors import DataError
from tandem.utils.files import check_regular, write_whole

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

LOCAL_HEADER = struct.Struct("<26xHH")
"""Lengths of the name and of the extra field in the local header of a zip member."""


def cache_folder(given: str | None) -> Path:
    """Returns the folder of the cache: the given one, else `$TANDEM_CACHE`, else `~/.cache/tandem`; creates nothing."""
    return Path(given or os.environ.get("TANDEM_CACHE") or "~/.cache/tandem").expanduser()


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


def fetch(path: Path, shapes: Shapes, make: Callable[[], Iterable[Arrays]]) -> dict[str, Mapped] | None:
    """Returns the arrays cached at `path`, memory-mapped; computes and stores them first if necessary.

    A damaged file is replaced. Returns None if the folder cannot be written. Both cases log a warning.

    Args:
        path: an `.npz` file, named by the digest of everything that its content depends on.
        shapes: name and shape of every expected array.
        make: yields the arrays, a few rows at a time, all parts of the same dtypes; called at most once.
    """
    try:
        if path.is_file():
            return map_arrays(path, shapes)
    except DAMAGE as error:
        log.warning("cache file %s is damaged (%s): decoding again", path, error)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda file: write_arrays(file, path.parent, shapes, make()))
        return map_arrays(path, shapes)
    except OSError as error:
        log.warning("cache %s cannot be written (%s), so every start decodes: set data.cache=...", path.parent, error)
        return None


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


def map_arrays(path: Path, shapes: Shapes) -> dict[str, Mapped]:
    """Memory-maps the arrays of an `.npz` file, without unpickling, after verifying the checksum of every byte.

    Raises:
        ValueError: an array has another dtype or shape, or is compressed. A damaged file raises one of `DAMAGE`.
    """
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
