"""Files below a data set's folder that are not used: counted by ending and reason, never passed over in silence."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tandem.data.files.names import ending_of
from tandem.data.files.walk import CLOSED, HIDDEN, LOOP, Found

log = logging.getLogger(__name__)

MASK_FORMAT = "masks in a format that is not read; their images count as images without a mask"
IMAGE_FORMAT = "images in a format that is not read"
NO_MATCH = "match neither data.images nor data.masks"
UNLISTED = "not in the table"
LEFT_OUT = "not among the images and masks of the data set"
LINKED_TWICE = "the same files as others that are read without a link"
NO_IMAGE = "not images"

REASONS = (MASK_FORMAT, CLOSED, IMAGE_FORMAT, NO_MATCH, UNLISTED, LEFT_OUT, LINKED_TWICE, LOOP, NO_IMAGE, HIDDEN)
"""From those that cost data to those that cost nothing."""

LOUD = REASONS[:5]
"""Reasons that are logged as a warning."""

OTHER = (
    *(".txt", ".md", ".rst", ".pdf", ".doc", ".docx", ".html", ".htm", ".log", ".ini", ".cfg", ".toml", ".bib"),
    *(".csv", ".tsv", ".xls", ".xlsx", ".ods", ".parquet", ".pq", ".json", ".jsonl", ".xml", ".yaml", ".yml"),
    *(".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".py", ".ipynb", ".m", ".r", ".sh", ".db", ".pkl", ".pt", ".pth"),
)
"""Endings of files that are no images; any other ending may be that of an image in a format that is not read."""

SHOWN = 3


@dataclass
class Kind:
    """Files of one ending that are not used for one reason.

    Attributes:
        ending: the ending; empty if they have none.
        reason: one of `REASONS`.
        count: their number.
        first: the names of the first of them.
    """

    ending: str
    reason: str
    count: int = 0
    first: list[str] = field(default_factory=list)


class Unused:
    """Counts the files that are not used.

    Example:
        >>> unused = Unused()
        >>> unused.add("benign/a_mask.npy", MASK_FORMAT)
        >>> unused.add("notes.txt", NO_IMAGE)
        >>> [(kind.count, kind.ending) for kind in unused.kinds()]
        [(1, '.npy'), (1, '.txt')]
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], Kind] = {}

    def add(self, name: str, reason: str) -> None:
        """Counts a file.

        Args:
            name: its path relative to the root.
            reason: one of `REASONS`.
        """
        ending = "" if reason in (CLOSED, LOOP, HIDDEN) else ending_of(name)
        kind = self._kinds.setdefault((ending, reason), Kind(ending, reason))
        kind.count += 1
        if len(kind.first) < SHOWN:
            kind.first.append(name.encode("utf-8", "backslashreplace").decode())

    def add_found(self, found: Found, reason: str) -> None:
        """Counts a file; what was passed over, and files of formats that are not read, have reasons of their own."""
        ending = found.ending
        if found.why:
            reason = found.why
        elif not found.read and reason != MASK_FORMAT:
            reason = NO_IMAGE if ending in (*OTHER, "") else IMAGE_FORMAT
        self.add(found.name, reason)

    def add_rest(self, files: Iterable[Found], used: Iterable[str], reason: str) -> None:
        """Counts all files but the used ones, which are named relative to the root."""
        known = set(used)
        for found in files:
            if found.name not in known:
                self.add_found(found, reason)

    def kinds(self) -> list[Kind]:
        """What was counted: the reasons that cost data first, then the most frequent."""
        return sorted(self._kinds.values(), key=lambda kind: (REASONS.index(kind.reason), -kind.count, kind.ending))

    def nameless(self) -> "Unused":
        """The same counts, without the names of files."""
        found = Unused()
        found._kinds = {key: replace(kind, first=[]) for key, kind in self._kinds.items()}
        return found

    def to_json(self) -> list[dict[str, Any]]:
        """Plain containers."""
        return [dict(vars(kind)) for kind in self.kinds()]

    def report(self, name: str) -> None:
        """Logs what was counted in one line; as a warning if images or masks are among it.

        Args:
            name: the data set.
        """
        if kinds := self.kinds():
            loud = any(kind.reason in LOUD for kind in kinds)
            log.log(logging.WARNING if loud else logging.INFO, "data %s: %s", name, unused_line(self.to_json()))


def unused_line(kinds: Sequence[dict[str, Any]]) -> str:
    """One line about files that are not used.

    Args:
        kinds: as from `Unused.to_json`.

    Example:
        >>> unused_line([{"ending": ".npy", "reason": UNLISTED, "count": 2, "first": ["a.npy", "b.npy"]}])
        "2 files below data.root not used: 2 .npy (not in the table; the first: 'a.npy')"
    """
    total = sum(kind["count"] for kind in kinds)
    parts = [
        f"{kind['count']} {kind['ending'] or 'without an ending'} ({kind['reason']}"
        + (f"; the first: '{kind['first'][0]}')" if kind["reason"] in LOUD and kind["first"] else ")")
        for kind in kinds
    ]
    return f"{total} {'files' if total > 1 else 'file'} below data.root not used: {', '.join(parts)}"
