"""Finds the files that a table names."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tandem.data.files.images import ENDINGS, is_marked
from tandem.data.files.names import ending_of, nfc, preferred
from tandem.data.files.walk import walk
from tandem.errors import DataError


class Paths:
    """Finds files below a root by their paths in a table.

    Paths may have slashes of either kind. A name without the ending of an image file finds the only image file of this
    name, and a name without a folder the only one in any folder. Accented letters are found in both of Unicode's
    spellings (NFC and NFD).

    Args:
        root: the folder that paths are relative to, resolved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, dict[str, list[str]]] = {}

    def find(self, text: str) -> Path:
        """Returns the file of a path; if there is none, the path itself, which is reported when it is read.

        Args:
            text: a path relative to the root, or an absolute path below it.

        Raises:
            DataError: the path leads out of the root, holds a NUL byte, or names several files.
        """
        path = self._inside(text)
        if path.is_file() and not path.is_symlink():
            return path
        if not path.exists():
            path = self._alike(path, text)
        if path.is_symlink() and not _leads_below(path, self.root):
            raise DataError(f"the path {text!r} leads out of {str(self.root)!r}: put the file below data.root")
        return path

    def _inside(self, text: str) -> Path:
        if "\0" in text:
            raise DataError(f"the path {text!r} holds a NUL byte: fix the table")
        path = self.root / Path(os.path.normpath(text.replace("\\", "/")))
        outside = not path.is_relative_to(self.root) or ".." in path.parts
        if outside or re.match(r"[A-Za-z]:[\\/]", text):
            raise DataError(f"the path {text!r} leads out of {str(self.root)!r}: put the file below data.root")
        return path

    def _alike(self, path: Path, text: str) -> Path:
        """The file that a path means which does not exist as it is written; the path itself if there is none."""
        ending = ending_of(path.name)
        stem = path.name[: len(path.name) - len(ending)] if ending in ENDINGS else path.name
        folder = path.parent.relative_to(self.root).as_posix()
        same = self._in(folder).get(nfc(stem)) or (self._in("").get(nfc(stem), []) if folder == "." else [])
        named = [name for name in same if ending not in ENDINGS or nfc(Path(name).name) == nfc(path.name)]
        if same and not named:
            raise DataError(f"{str(path)!r} does not exist, but {same[0]!r} does: fix its ending in the table")
        read = [name for name in named if self._read(name)]
        if len(read) > 1:
            best = preferred([ending_of(name) for name in read])
            chosen = f"{next(name for name in read if ending_of(name) == best)!r} (lossless)" if best else "one of them"
            raise DataError(f"{text!r} may be {' or '.join(map(repr, read))}: write {chosen} in the table")
        if named and not read:
            raise DataError(f"{text!r} is {named[0]!r}, whose format is not read: convert it to PNG")
        return self.root / read[0] if read else path

    def _in(self, folder: str) -> dict[str, list[str]]:
        """Names of the files in a folder by their stem (NFC), relative to the root; "" stands for all folders."""
        if folder not in self._names:
            found: dict[str, list[str]] = {}
            for name in self._list(folder):
                last = name.rpartition("/")[2]
                found.setdefault(nfc(last[: len(last) - len(ending_of(last))]), []).append(name)
            self._names[folder] = found
        return self._names[folder]

    def _read(self, name: str) -> bool:
        ending = ending_of(name)
        return ending in ENDINGS or is_marked(self.root / name, ending)

    def _list(self, folder: str) -> Iterable[str]:
        if not folder:
            return (found.name for found in walk(self.root) if not found.why)
        try:
            names = sorted(os.listdir(self.root / folder))  # noqa: PTH208  # names only
        except OSError:  # who reads the file reports it
            return ()
        return names if folder == "." else (f"{folder}/{name}" for name in names)


def _leads_below(path: Path, root: Path) -> bool:
    """Whether a link leads to a file below the root, or below the folder that a linked folder leads to."""
    file = path.resolve()
    return file.is_relative_to(root) or file.is_relative_to(path.parent.resolve())
