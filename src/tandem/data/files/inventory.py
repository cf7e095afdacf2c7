"""The files that a data set was read from, with a digest of each, so that a later start can name those that changed."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.data.files.cache import cache_folder, digest
from tandem.data.files.file_state import names_below, recall_digests, state_of
from tandem.errors import DataError

DIGITS = 16
"""Hexadecimal digits of a file's SHA-256 that are kept: enough to detect a change of one file."""

SHOWN = 3
"""Number of changed files that a message names."""


@dataclass(frozen=True)
class Part:
    """The files of one source.

    Attributes:
        root: the folder that names are relative to.
        files: the first digits of each file's digest, by name; files elsewhere have their whole path as name.
    """

    root: Path
    files: Mapping[str, str]

    def paths(self) -> list[Path]:
        """The files, and the folders that they lie in: a file that is added changes its folder."""
        files = [self.root / name for name in self.files]
        inside = {parent for name in self.files if not Path(name).is_absolute() for parent in Path(name).parents}
        return files + sorted(self.root / parent for parent in inside)


@dataclass(frozen=True)
class Inventory:
    """The files of a data set.

    Attributes:
        parts: by the name of the source in mixed data; otherwise one, named "".
    """

    parts: Mapping[str, Part]

    def state(self) -> str | None:
        """The present state of the files and their folders, see `state_of`; None if it cannot be relied on."""
        return state_of((path for part in self.parts.values() for path in part.paths()), Path("/"))

    def digest(self) -> str:
        """SHA-256 of names and bytes of all files; independent of where they lie and of how rows are split."""
        lines = sorted(f"{key}|{value}" for key, value in self._named().items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def absent(self) -> bool:
        """Whether not one of the files exists."""
        return not any((part.root / name).exists() for part in self.parts.values() for name in part.files)

    def changes(self, now: "Inventory") -> list[str]:
        """Names of the files that were changed, added or removed."""
        before, after = self._named(), now._named()
        return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))

    def reread(self) -> "Inventory":
        """The same files as they are now; those that cannot be read are omitted."""
        return Inventory({key: Part(part.root, dict(_read(part.root, part.files))) for key, part in self.parts.items()})

    def _named(self) -> dict[str, str]:
        return {
            str(Path(key) / (Path(name).name if Path(name).is_absolute() else name)): value
            for key, part in self.parts.items()
            for name, value in part.files.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Plain containers, with the present state of the files."""
        parts = {key: {"root": str(part.root), "files": dict(part.files)} for key, part in self.parts.items()}
        return {"state": self.state(), "parts": parts}

    @staticmethod
    def from_json(node: Mapping[str, Any]) -> "Inventory":
        """What `to_json` gave."""
        return Inventory({key: Part(Path(part["root"]), part["files"]) for key, part in node["parts"].items()})


def take_inventory(source: Any) -> Inventory | None:
    """The files of a source, after `load`; None if it does not name them.

    Args:
        source: has `files_root`, `records` or `lists` (see `Source`), or consists of further `sources`.
    """
    if isinstance(inner := getattr(source, "sources", None), Mapping):
        found = {key: _part(one) for key, one in inner.items() if not getattr(one, "formula", False)}
        named = {key: part for key, part in found.items() if part is not None}
        return Inventory(named) if named and len(named) == len(found) else None
    part = _part(source)
    return None if part is None else Inventory({"": part})


def _part(source: Any) -> Part | None:
    root = getattr(source, "files_root", None)
    hidden = getattr(getattr(source, "ids", None), "hashed", False)  # names of files may be those of patients
    if root is None or hidden:
        return None
    files = [path for record in getattr(source, "records", ()) for path in record.files]
    cache, lists = cache_folder(getattr(source, "cache", None)), list(getattr(source, "lists", ()))
    digests = {**_digests(cache, root, files), **_digests(cache, root, lists)}
    return Part(Path(root).resolve(), digests)


def _digests(cache: Path, root: Path, files: Sequence[Path]) -> dict[str, str]:
    """The digests of files below a root, as the source has stored them when it read the files; else they are read."""
    name_of = names_below(root)
    names = [name_of(path).replace(os.sep, "/") for path in files]
    known = recall_digests(cache, files, root)
    return dict(zip(names, known, strict=True)) if known else dict(_read(root, names))


def _read(root: Path, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, digest(root / name, name).hex()[:DIGITS]
        except DataError:  # a file that cannot be read; the source reports it
            continue


def listed(names: Sequence[str]) -> str:
    """A few names and how many there are.

    Example:
        >>> listed(["a", "b", "c", "d", "e"]), listed(["a"])
        ('a, b, c and 2 more files', 'a')
    """
    rest = len(names) - SHOWN
    more = f" and {rest} more file{'s' if rest > 1 else ''}" if rest > 0 else ""
    return f"{', '.join(names[:SHOWN])}{more}"
