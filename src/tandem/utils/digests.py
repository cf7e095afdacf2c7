"""The SHA-256 of what a run has written, in `artifacts.json`: a file is believed only if it is as it was written."""

import hashlib
import json
import logging
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tandem.errors import DataError
from tandem.utils.artifacts import ARTIFACTS, DIGESTS, LAST, PREVIOUS
from tandem.utils.atomic import before_replacing
from tandem.utils.files import copy_whole, known_sha256, read_bytes, read_json, sha256, write_json
from tandem.utils.json_members import Members

log = logging.getLogger(__name__)

KEPT = 3
"""Digests that are kept of a file: the present one, and earlier ones until the next is in its place."""


class DamagedError(DataError):
    """A file is not as it was written."""


class _Recorder:
    """Notes the digest of each artefact of a run before it is put in its place; keeps the last but one `last.ckpt`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.noted: dict[str, str] = {}

    def __call__(self, path: Path, temporary: Path) -> None:
        if path.name not in ARTIFACTS or path.parent.resolve() != self.folder:
            return
        known = _read(self.folder)
        before = [self.noted[path.name]] if path.name in self.noted else known.get(path.name, [])[-KEPT + 1 :]
        now = sha256(temporary)
        if path.name == LAST and path.exists():
            known[PREVIOUS] = [*before, *known.get(PREVIOUS, [])[-1:]]
        known[path.name] = [*before, now]
        _write(self.folder, known)
        if path.name == LAST and path.exists():
            _keep(path, self.folder / PREVIOUS)
        self.noted[path.name] = now


_warned: set[Path] = set()
_recorders: dict[Path, _Recorder] = {}


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Inside, the digest of each artefact that is written into a run's folder is noted in it. May be nested."""
    place = folder.resolve()
    if place in _recorders:
        yield
        return
    recorder = _recorders[place] = _Recorder(place)
    before_replacing.append(recorder)
    try:
        yield
    finally:
        before_replacing.remove(recorder)
        del _recorders[place]


def check_intact(path: Path) -> None:
    """Raises if a file is not as it was written. Files without a noted digest, of older versions, pass.

    Raises:
        DamagedError: its digest is another one.
    """
    noted = _read(path.parent).get(path.name)
    if noted and path.is_file() and known_sha256(path) not in noted:
        raise _changed(path)


def _changed(path: Path) -> DamagedError:
    return DamagedError(
        f"{path} is damaged: its SHA-256 is not the one in {path.parent / DIGESTS}; copy it back, or "
        f"rerun the run's command, which writes it again where it can (if you changed it, delete {DIGESTS})"
    )


def read_artifact(path: Path) -> Any:
    """Reads a JSON file of a run's folder that is as it was written.

    Raises:
        DamagedError: it is not, or it is no JSON.
        OSError: it cannot be read.
    """
    check_intact(path)
    try:
        return read_json(path)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged ({error}); copy it back, or rerun the run's command") from error


def read_members(path: Path, inner: Collection[str] = ()) -> Any:
    """`read_artifact` for many files that are alike: members of the object are read when they are asked for.

    This needs a digest, which tells that the text is that of `write_json`; a file of an older version, without one, is
    read as a whole.

    Args:
        path: the file.
        inner: dotted keys of members that are read by member too.

    Raises:
        DamagedError: it is not as it was written.
        OSError: it cannot be read.
    """
    if not (noted := _read(path.parent).get(path.name)):
        return read_artifact(path)
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() not in noted:
        raise _changed(path)
    return Members(content.decode(), inner)


def is_damaged(path: Path) -> bool:
    """Whether an existing file is not as it was written; for files of older versions, whether it cannot be read."""
    if not path.is_file():
        return False
    try:
        check_intact(path)
        if path.suffix == ".json":
            read_json(path)
        elif path.suffix == ".ckpt":
            with zipfile.ZipFile(path) as archive:  # checks each byte
                return archive.testzip() is not None
    except (ValueError, DataError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return True
    return False


def forget(folder: Path, *names: str) -> None:
    """Removes digests of files that are no longer there."""
    known = _read(folder)
    if any(name in known for name in names):
        _write(folder, {name: digests for name, digests in known.items() if name not in names})


def _keep(path: Path, place: Path) -> None:
    """Gives a file a second name, so that it stays when it is replaced; copies it where links do not work."""
    beside = place.with_name(f".{place.name}.link")
    beside.unlink(missing_ok=True)
    try:
        beside.hardlink_to(path)
        beside.replace(place)
    except (OSError, NotImplementedError):
        copy_whole(path, place)


def _read(folder: Path) -> dict[str, list[str]]:
    """The digests by name; none where the file is absent. One that is damaged itself proves nothing."""
    file = folder / DIGESTS
    try:
        found = read_json(file)
        files: dict[str, list[str]] = found["files"]
        right = found["sha256"] == _of(files)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, DataError):
        right = False
    if right:
        return files
    if file not in _warned:
        _warned.add(file)
        log.warning("%s is damaged, so the files beside it are not compared with it", file)
    return {}


def _write(folder: Path, files: dict[str, list[str]]) -> None:
    write_json(folder / DIGESTS, {"files": files, "sha256": _of(files)})


def _of(files: dict[str, list[str]]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
