"""Data sets in a single archive: unpacked once, into the cache, and never outside their folder."""

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tandem.data.files.cache import cache_folder
from tandem.data.files.faults import refuse
from tandem.errors import DataError
from tandem.utils.files import sha256

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")

RATIO, LEAST = 200, 100_000_000
"""An archive may become so many times its own size, and always so many bytes; a bomb, a thousand times its own."""

MEMBERS = 5_000_000
"""Files and folders at most."""

CHUNK = 1 << 20

Archive = zipfile.ZipFile | tarfile.TarFile


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Attributes:
        name: its path in the archive.
        size: unpacked size in bytes.
        kind: `file`, `folder` or `other` (a link or device).
    """

    name: str
    size: int
    kind: str


def folder_of(root: str, cache: str | None) -> Path:
    """Returns the folder of a data set: the root itself, or the unpacked archive.

    An archive is unpacked into the cache, under a digest of its bytes, and reused from there.

    Args:
        root: a folder, or a zip or tar file.
        cache: folder of the disk cache; None for the default.

    Raises:
        DataError: the archive is damaged, would write outside its folder, holds links or devices, needs more than the
            free disk space, or is many times larger than its file.
    """
    path = Path(root).expanduser()
    if not path.name.lower().endswith(ENDINGS) or not path.is_file():
        return path
    target = cache_folder(cache) / "unpacked" / sha256(path)
    if not target.is_dir():
        _unpack(path, target)
    return target


def _unpack(path: Path, target: Path) -> None:
    half = target.with_name(f".{target.name}.{os.getpid()}")
    half.mkdir(parents=True)
    try:
        left = limit = max(LEAST, RATIO * path.stat().st_size)
        with _opened(path) as archive:
            members = list(_counted(path, _members(archive), limit))
            _check(path, members, half)
            for member in members:
                place = half / member.name
                if member.kind == "folder":
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                with _content(archive, member) as content, place.open("xb") as file:
                    while chunk := content.read(CHUNK):  # what is there counts, whatever the header says
                        left -= len(chunk)
                        if left < 0:
                            raise _bomb(path, limit)
                        file.write(chunk)
        half.replace(target)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"archive {str(path)!r} cannot be unpacked ({text}): download it again") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _opened(path: Path) -> Archive:
    return zipfile.ZipFile(path) if path.name.lower().endswith(".zip") else tarfile.open(path)


def _counted(path: Path, members: Iterator[Member], limit: int) -> Iterator[Member]:
    """The members, as long as their sizes say that they are no bomb: a tar file is unpacked while it is listed."""
    size = 0
    for number, member in enumerate(members, start=1):
        size += member.size
        if size > limit or number > MEMBERS:
            raise _bomb(path, limit)
        yield member


def _bomb(path: Path, limit: int) -> DataError:
    return DataError(
        f"archive {str(path)!r} becomes more than {limit:,} bytes or {MEMBERS:,} files: do not trust it, or "
        "unpack it by hand"
    )


def _members(archive: Archive) -> Iterator[Member]:
    if isinstance(archive, tarfile.TarFile):
        for entry in archive:
            yield Member(entry.name, entry.size, "file" if entry.isreg() else "folder" if entry.isdir() else "other")
        return
    for info in archive.infolist():
        link = stat.S_ISLNK(info.external_attr >> 16)
        yield Member(info.filename, info.file_size, "folder" if info.is_dir() else "other" if link else "file")


def _check(path: Path, members: Sequence[Member], target: Path) -> None:
    faults = []
    for member in members:
        name = PurePosixPath(member.name.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or (name.parts[0:1] and name.parts[0].endswith(":")):
            faults.append(f"archive {str(path)!r} would write outside its folder ({member.name!r}): do not trust it")
        elif member.kind == "other":
            faults.append(f"archive {str(path)!r} holds a link or device ({member.name!r}): unpack it by hand")
    refuse(faults, len(members), "members")
    needed, free = sum(member.size for member in members), shutil.disk_usage(target).free
    if needed > free:
        raise DataError(f"archive {str(path)!r} needs {needed:,} bytes, but {free:,} are free: choose data.cache=...")


def _content(archive: Archive, member: Member) -> IO[bytes]:
    if isinstance(archive, zipfile.ZipFile):
        return archive.open(member.name)
    content = archive.extractfile(member.name)
    assert content is not None, "a regular file has content"
    return content
