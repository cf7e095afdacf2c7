"""Whether an image is still the one that was predicted."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tandem.errors import DataError
from tandem.utils.artifacts import MANIFEST
from tandem.utils.artifacts import PREDICTIONS as TABLE
from tandem.utils.files import sha256, write_json

if TYPE_CHECKING:
    from tandem.predict.found import Found
    from tandem.predict.manifest import Opened

DIGITS = 16
"""Hexadecimal digits that are stored of a file's SHA-256, and of its state."""

EVERY = 60.0
"""Seconds between two writings of the manifest."""


class ImageStates:
    """States of the images when they were predicted, stored in the manifest; used as a context manager.

    A state is the SHA-256 of the file, and that of its size, timestamps and inode, by which an unchanged file is
    recognised without reading it. An image without a stored state, as after a crash or in a folder of an older
    tandem, is unchanged if the table was written after its last change.

    Args:
        out: folder of the predictions.
        opened: its manifest.
    """

    def __init__(self, out: Path, opened: "Opened") -> None:
        self.file, self.manifest = out / MANIFEST, opened.manifest
        self.states = dict(opened.states)
        self.reading: dict[str, str] = {}
        table = out / TABLE
        self.written = table.stat().st_mtime_ns if table.exists() else 0
        self.stored = time.monotonic()

    def unchanged(self, file: "Found") -> bool:
        """Whether an image has the bytes that were predicted."""
        if (before := self.states.get(file.name)) is None:
            seen = file.path.stat()
            if max(seen.st_mtime_ns, seen.st_ctime_ns) > self.written:
                return False
            self.states[file.name] = f"{_digest(file.path)}-{_state(file.path)}"
            return True
        digest, _, state = before.partition("-")
        if state and state == _state(file.path):
            return True
        if digest != _digest(file.path):
            return False
        self.states[file.name] = f"{digest}-{_state(file.path)}"
        return True

    def noted(self, files: "Sequence[Found]") -> Iterator[Path]:
        """Yields the path of each image, after its state was taken, so that it is the state of what is read."""
        for file in files:
            state = _state(file.path)  # first, so that a change while the file is read shows later
            self.reading[file.name] = f"{_digest(file.path)}-{state}"
            yield file.path

    def predicted(self, file: "Found") -> None:
        """Notes that the row of an image was written."""
        self.states[file.name] = self.reading.pop(file.name)
        if time.monotonic() - self.stored > EVERY:
            self.store()

    def forget(self, name: str) -> None:
        """Drops the state of an image whose row leaves the table."""
        self.states.pop(name, None)

    def store(self) -> None:
        """Writes the manifest with all states."""
        from tandem.predict.manifest import FILES

        write_json(self.file, {**self.manifest, FILES: dict(sorted(self.states.items()))})
        self.stored = time.monotonic()

    def __enter__(self) -> "ImageStates":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.store()


def _digest(path: Path) -> str:
    try:
        return sha256(path)[:DIGITS]
    except (OSError, DataError):  # reported by whoever decodes it
        return ""


def _state(path: Path) -> str:
    try:
        seen = path.stat()
    except OSError:
        return ""
    state = f"{seen.st_size}|{seen.st_mtime_ns}|{seen.st_ctime_ns}|{seen.st_ino}"
    return hashlib.sha256(state.encode()).hexdigest()[:DIGITS]
