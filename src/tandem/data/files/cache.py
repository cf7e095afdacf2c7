"""Decoded pictures on disk, kept under the digest of what they were decoded from, and read without loading them."""

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
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tandem.data.loading.storage import Mapped
from tandem.errors import DataError
from tandem.utils.files import check_regular, write_whole

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[np.uint8]]
Shapes = Mapping[str, tuple[int, ...]]

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

LOCAL_HEADER = struct.Struct("<26xHH")
"""Of a member of a zip file, the lengths of its name and of what else stands before its content."""


def cache_folder(given: str | None) -> Path:
    """The folder of the cache: the one given, else `$TANDEM_CACHE`, else `~/.cache/tandem`. Nothing is created."""
    return Path(given or os.environ.get("TANDEM_CACHE") or "~/.cache/tandem").expanduser()


def digest(path: Path, name: str) -> bytes:
    """SHA-256 over the name of a file, with slashes, and its bytes.

    Raises:
        DataError: a file that cannot be read.
    """
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read ({error.strerror}): mend the file or its rights") from error
    known = name.encode()
    # lengths, so that no name and content run together
    return hashlib.sha256(f"{len(known)}:{len(content)}:".encode() + known + content).digest()


def fetch(path: Path, shapes: Shapes, make: Callable[[], Iterable[Arrays]]) -> dict[str, Mapped] | None:
    """The arrays kept at `path`, or those that `make` gives, which are then kept; they stay on disk.

    A damaged file is made anew and replaced; a folder that cannot be written is None. Both are logged as warnings.

    Args:
        path: an `.npz` file, named by the digest of everything that its content depends on.
        shapes: the name and shape of every array expected.
        make: gives the arrays, uint8, a few rows at a time; called once, if at all.
    """
    try:
        if path.is_file():
            return map_arrays(path, shapes)
    except DAMAGE as error:
        log.warning("cache file %s is damaged (%s): decoding anew", path, error)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda file: write_arrays(file, path.parent, shapes, make()))
        return map_arrays(path, shapes)
    except OSError as error:
        log.warning("cache %s cannot be written (%s), so every start decodes: set data.cache=...", path.parent, error)
        return None


def write_arrays(file: IO[bytes], folder: Path, shapes: Shapes, parts: Iterable[Arrays]) -> None:
    """Writes uint8 arrays as an `.npz` file, uncompressed, with no more of them in memory than one part.

    Args:
        file: open for bytes.
        folder: for temporary files, since the arrays stand one after the other in the file.
        shapes: the name and shape of every array.
        parts: some rows of every array, in order.
    """
    with ExitStack() as stack, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        spools = {name: stack.enter_context(TemporaryFile(dir=folder)) for name in shapes}
        for part in parts:
            for name, spool in spools.items():
                spool.write(part[name].tobytes())
        for name, shape in shapes.items():
            spools[name].seek(0)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                npy.write_array_header_1_0(member, header)
                shutil.copyfileobj(spools[name], member, 2**20)


def map_arrays(path: Path, shapes: Shapes) -> dict[str, Mapped]:
    """Arrays of an `.npz` file, without unpickling; every byte is compared with its checksum, none stays in memory.

    Raises:
        ValueError: an array of another type or shape, or compressed. A damaged file raises one of `DAMAGE`.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if bad := archive.testzip():
            raise zipfile.BadZipFile(f"bad checksum of {bad}")
        return {name: Mapped(path, _offset(file, archive, name, shape), shape) for name, shape in shapes.items()}


def _offset(file: IO[bytes], archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> int:
    """Where the numbers of an array begin in the file."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as member:
        version = npy.read_magic(member)
        found, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(member)
        header = member.tell()
    size = int(np.prod(shape))
    right = dtype == np.uint8 and found == shape and not fortran and entry.file_size == header + size
    if not right or entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is {dtype} {found}, expected uint8 {shape}, in order and uncompressed")
    file.seek(entry.header_offset)
    name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return int(entry.header_offset + LOCAL_HEADER.size + name_length + extra_length + header)
