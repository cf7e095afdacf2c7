"""What the files of records are: SHA-256 of their names and bytes, and of how they belong together."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.data.files.cache import digest
from tandem.data.files.faults import Faults
from tandem.data.files.file_state import has_digests, names_below, recall, remember, remember_digests, state_of
from tandem.errors import DataError

if TYPE_CHECKING:
    from tandem.data.files.records import Record


def fingerprint_of(records: "Sequence[Record]", root: Path, faults: Faults, cache: Path) -> "tuple[list[Record], str]":
    """Returns the records whose files can be read, and the SHA-256 of the names and bytes of these files.

    If no file was changed since all were last read, the SHA-256 comes from the cache.

    Args:
        records: the rows.
        root: the folder that file names are relative to.
        faults: gets a line for each record that cannot be read.
        cache: folder of the disk cache.
    """
    state = state_of((path for record in records for path in record.files), root)
    note = cache / f"files-{state}.txt"
    if state and has_digests(cache, state) and (known := recall(note)):
        return list(records), known
    present, digests = [], []
    whole, name_of = hashlib.sha256(), names_below(root)
    for record in records:
        try:
            parts = [digest(path, name_of(path).replace(os.sep, "/")) for path in record.files]
        except DataError as error:
            faults.add(str(error), record.place)
            continue
        present.append(record)
        digests += parts
        whole.update(b"".join(parts))
    if state and len(present) == len(records):
        remember_digests(cache, state, digests)
        remember(note, whole.hexdigest())
    return present, whole.hexdigest()


def structure_of(records: "Sequence[Record]", root: Path) -> str:
    """SHA-256 of the assignment of files to rows and channels.

    Args:
        records: the rows.
        root: the folder that file names are relative to.
    """
    whole, name_of = hashlib.sha256(), names_below(root)
    for record in records:
        masks = [None if paths is None else [name_of(path) for path in paths] for paths in record.masks]
        whole.update(f"{name_of(record.image)}|{masks}\n".encode())
    return whole.hexdigest()
