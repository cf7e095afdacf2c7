"""Whether the data of a finished or interrupted run are still those that it was trained on.

The state of the files (size, timestamps, inode) is compared first; only where that differs are the data read again, and
their fingerprints compared. A data set from a formula follows from the settings, which the run's hash compares.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.instantiate import build
from tandem.data.files.inventory import Inventory, listed
from tandem.errors import DataError, TandemError
from tandem.utils.artifacts import DATA, FILES
from tandem.utils.digests import read_artifact, recorded
from tandem.utils.files import write_json

log = logging.getLogger(__name__)

NOT_CHECKED = "data not checked"
"""Mark of results whose data are absent."""


@dataclass(frozen=True)
class DataState:
    """The data compared with those of a run.

    Attributes:
        word: `same`, `absent` (cannot be compared), `changed`, or `unknown` (the files must be read).
        reason: what changed, or why it cannot be compared.
    """

    word: str
    reason: str = ""

    @property
    def answers(self) -> bool:
        """Whether the run answers for these data."""
        return self.word in ("same", "absent")


SAME = DataState("same")

Read = tuple[Mapping[str, str], Inventory | None]
"""Fingerprint and files of data that were read."""


def glance(node: Mapping[str, Any], folder: Path) -> DataState:
    """Compares the state of the files with that in a run's folder; reads none of them.

    Args:
        node: `data` of the run's configuration.
        folder: the run's folder.
    """
    kept = (folder / DATA).is_file()
    inventory, state = read_inventory(folder) if kept else (None, None)
    absent = _absent(node, inventory)
    if not absent and inventory is not None and state is not None and inventory.state() == state:
        return SAME  # before the data set is built, since its module may import torch, which takes seconds
    try:
        source = build(node, "data")
    except TandemError as error:  # its package, or the place of its files, is not on this machine
        return DataState("absent", " ".join(str(error).split()))
    if getattr(source, "formula", False):
        return SAME
    if not kept:
        return DataState("absent", f"{DATA} is missing")
    return DataState("absent", absent) if absent else DataState("unknown")


def look(node: Mapping[str, Any], folder: Path, known: dict[str, Read] | None = None) -> DataState:
    """Compares the data with those of a run; reads them where the state of the files differs.

    Args:
        node: `data` of the run's configuration.
        folder: the run's folder; the new state of unchanged files is stored in it.
        known: data that earlier calls have read, so that runs on the same data need one reading.
    """
    state = glance(node, folder)
    if state.word != "unknown":
        return state
    before, (inventory, _) = read_artifact(folder / DATA)["fingerprint"], read_inventory(folder)
    try:
        now, files = _read(node, {} if known is None else known)
    except TandemError as error:
        if inventory is None:
            return DataState("absent", " ".join(str(error).split()))
        names = inventory.changes(inventory.reread())
        return DataState("changed", f"{listed(names)} differ" if names else " ".join(str(error).split()))
    differing = [key for key in before if now.get(key) != before[key]]
    if not differing:
        with recorded(folder):
            keep_inventory(files, folder)
        return SAME
    return DataState("changed", what_changed(differing, inventory, files))


def what_changed(splits: list[str], before: Inventory | None, now: Inventory | None) -> str:
    """Names the files that differ, or the splits where no file does.

    Args:
        splits: parts of the fingerprint that differ.
        before: the files of the run; None if they are not recorded.
        now: the present files.
    """
    if before is None or now is None:
        return f"{', '.join(sorted(splits))} differ"
    if names := before.changes(now):
        return f"{listed(names)} differ{'s' if len(names) == 1 else ''}"
    return f"{', '.join(sorted(splits))} differ, though no file does: another version of tandem or of a library"


def keep_inventory(files: Inventory | None, folder: Path) -> None:
    """Stores the files of a run's data and their present state in its folder; where that fails, they are read again."""
    if files is None:
        return
    try:
        write_json(folder / FILES, files.to_json())
    except OSError as error:
        log.info("%s cannot be written (%s): the next start reads the data again", folder / FILES, error)


def read_inventory(folder: Path) -> tuple[Inventory | None, str | None]:
    """The files of a run's data and their state when they were read; None each for runs of an older tandem."""
    try:
        stored = read_artifact(folder / FILES)
        return Inventory.from_json(stored), stored["state"]
    except (OSError, DataError, KeyError, TypeError, AttributeError):  # absent, or damaged: the data are read instead
        return None, None


def _absent(node: Mapping[str, Any], inventory: Inventory | None) -> str:
    """Why the data cannot be compared: their place, if nothing is there; empty if something is."""
    for source in (node, *(node.get("sources") or {}).values()):
        given = source.get("file") or source.get("root")
        if isinstance(given, str) and not Path(given).expanduser().exists():
            return f"{given} is absent"
    if inventory is not None and inventory.absent():
        return f"{', '.join(str(part.root) for part in inventory.parts.values())} has none of their files"
    return ""


def _read(node: Mapping[str, Any], known: dict[str, Read]) -> Read:
    from tandem.data.datamodule import DataModule

    key = json.dumps(node, sort_keys=True, default=str)
    if key not in known:
        log.info("the files of the data have another state than in training; their content is compared")
        data = DataModule(build(node, "data"), None, batch_size=1, workers=0, seed=0)
        data.setup()
        known[key] = (data.fingerprint(), data.inventory())
    return known[key]
