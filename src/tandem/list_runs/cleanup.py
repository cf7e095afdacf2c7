"""Removes the folders of runs that came to nothing; never those of finished or running ones, nor behind a link."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tandem.errors import ConfigError
from tandem.jobs.lock import LOCK, RunningElsewhere, locked
from tandem.jobs.status import STATUS
from tandem.list_runs.found import ListedRun
from tandem.runs.folders import state_of
from tandem.utils.artifacts import RESULTS

DELETABLE = ("failed", "killed", "interrupted", "timed out")
"""States of runs that may be removed."""


def check_states(states: Sequence[str]) -> None:
    """Refuses to remove runs in any other state.

    Raises:
        ConfigError: naming the state.
    """
    for state in states:
        if state not in DELETABLE:
            raise ConfigError(f"delete={state} is not possible; there are: {', '.join(DELETABLE)}")


def removable(listed: Sequence[ListedRun], states: Sequence[str], root: Path) -> list[ListedRun]:
    """The runs that would be removed.

    Args:
        listed: as found below the root.
        states: to remove.
        root: the folder of all runs.
    """
    return [one for one in listed if one.state in states and why_not(one.folder, root) is None]


def why_not(folder: Path, root: Path) -> str | None:
    """The reason for which a folder stays; None if it may be removed.

    Args:
        folder: of a run.
        root: the folder of all runs.
    """
    if not folder.is_relative_to(root) or folder == root:
        return "it does not lie below the folder of runs"
    parts = folder.relative_to(root).parts
    if ".." in parts or any(root.joinpath(*parts[: depth + 1]).is_symlink() for depth in range(len(parts))):
        return "it is a link, or lies behind one"
    if (folder / LOCK).is_symlink():
        return f"its {LOCK} is a link"
    if Path.cwd().resolve().is_relative_to(folder.resolve()):
        return "the working directory is in it"
    inner = (path for name in (RESULTS, STATUS) for path in folder.rglob(name) if path.parent != folder)
    other = next(inner, None)
    return None if other is None else f"it holds another run, {other.parent}"


def remove(folder: Path, root: Path, states: Sequence[str]) -> str | None:
    """Removes a run's folder, if it still is what it was. Returns the reason if it stays.

    Args:
        folder: of the run.
        root: the folder of all runs.
        states: in one of which it must be.
    """
    if reason := why_not(folder, root):
        return reason
    try:
        with locked(folder):  # nobody resumes it meanwhile
            state = state_of(folder).state
            state = "killed" if state == "running" else state  # it is this process that holds the lock
            if (folder / RESULTS).exists() or state not in states:
                return f"it is {state} now"
            for path in folder.iterdir():
                if path.name not in (STATUS, LOCK):  # these at last: what is left if this is stopped is still listed
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            shutil.rmtree(folder)
    except RunningElsewhere as error:
        return str(error)
    return None


def size(folder: Path) -> int:
    """Bytes of the files in a folder; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
