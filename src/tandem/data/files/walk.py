"""Lists the files below a folder, through links to other folders."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tandem.data.files.images import ENDINGS, is_marked
from tandem.data.files.names import ending_of
from tandem.errors import DataError

HIDDEN, LOOP, CLOSED = "hidden", "links to a folder that contains them", "folders that cannot be read"
"""Why something is not looked into."""

MOST_LINKS = 10_000
"""Linked folders that are followed; folders that link to each other have endless paths between them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a folder that is not looked into.

    Attributes:
        path: the file.
        name: its path relative to the root, with slashes.
        ending: its ending in lower case, see `ending_of`; empty for DICOM files that have none.
        linked: whether a folder on the way to it is a link.
        why: `HIDDEN`, `LOOP` or `CLOSED` if it is passed over; empty for a file to use.
        read: whether it is of a format that is read.
    """

    path: Path
    name: str
    ending: str
    linked: bool = False
    why: str = ""
    read: bool = False

    @property
    def stem(self) -> str:
        """The name without the ending."""
        return self.name[: len(self.name) - len(self.ending)]


def walk(root: Path) -> Iterator[Found]:
    """Yields each file below a folder, folder by folder, in the order of their names.

    Links to folders are followed, except to a folder that contains the link, which would have no end. Hidden folders
    are not searched; they count as one hidden file.

    Args:
        root: the folder.

    Raises:
        DataError: more than `MOST_LINKS` linked folders.
    """
    yield from _Walk().below(root, "", (), linked=False)


class _Walk:
    def __init__(self) -> None:
        self.links = 0

    def below(self, folder: Path, prefix: str, above: tuple[tuple[int, int], ...], linked: bool) -> Iterator[Found]:
        try:
            here = _id(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if prefix:
                yield Found(folder, prefix.removesuffix("/"), "", linked, CLOSED)
                return
            raise DataError(f"{str(folder)!r} cannot be read ({error.strerror}): fix its permissions") from error
        folders = {entry.name for entry in entries if _is_folder(entry)}
        for entry in entries:
            if entry.name not in folders:
                yield _file(folder / entry.name, prefix + entry.name, linked)
        for entry in entries:
            if entry.name in folders:
                yield from self._folder(entry, folder / entry.name, prefix + entry.name, (*above, here), linked)

    def _folder(
        self, entry: "os.DirEntry[str]", path: Path, name: str, above: tuple[tuple[int, int], ...], linked: bool
    ) -> Iterator[Found]:
        if entry.name.startswith("."):
            yield Found(path, name, "", linked, HIDDEN)
        elif not entry.is_symlink():
            yield from self.below(path, f"{name}/", above, linked)
        elif _id(path) in above:
            yield Found(path, name, "", linked, LOOP)
        else:
            self.links += 1
            if self.links > MOST_LINKS:
                raise DataError(f"{str(path)!r} is one of more than {MOST_LINKS:,} linked folders: remove links")
            yield from self.below(path, f"{name}/", above, linked=True)


def _file(path: Path, name: str, linked: bool) -> Found:
    ending, why = ending_of(path.name), HIDDEN if path.name.startswith(".") else ""
    if not why and ending not in ENDINGS and is_marked(path, ending):
        return Found(path, name, "", linked, why, read=True)
    return Found(path, name, ending, linked, why, read=ending in ENDINGS)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; who opens it reports it
        return False


def _id(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino
