"""The runs that `run=...` names: folders, or patterns that take finished runs and say what they leave out."""

import glob
import logging
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from tandem.errors import ConfigError
from tandem.runs.copies import without_copies
from tandem.runs.ensemble_file import is_ensemble, runs_in
from tandem.runs.folders import FINISHED, NO_RUN, FolderState, lacks_weights, state_of

log = logging.getLogger(__name__)

SHOWN = 10
"""Number of folders that the log names."""


def run_folders(given: str | PathLike[str] | Sequence[str | PathLike[str]]) -> tuple[Path, ...]:
    """Returns the folders that `run` names: one, several, those that match patterns, or those of a zip file, in order.

    A pattern takes finished runs with weights. What else it matches is logged, with state and reason. Copies of a run
    are logged and counted once.

    Args:
        given: a folder, a pattern with `*`, `?` or `[`, a zip file of runs (`tandem-plan`), or a list of them.

    Raises:
        ConfigError: if a pattern matches no finished run, a folder is named twice, runs of one hash differ, or there
            is none.
    """
    listed = [given] if isinstance(given, str | PathLike) else given
    if not isinstance(listed, Sequence) or not all(isinstance(entry, str | PathLike) for entry in listed) or not listed:
        raise ConfigError(f"run is {given!r}, but must be a run folder or a list of run folders")
    found: list[tuple[Path, bool]] = []
    for entry in listed:
        path = Path(entry).expanduser()
        if is_ensemble(path):
            found += [(folder, False) for folder in runs_in(path)]
        else:
            found += [(folder, True) for folder in matches(str(path))] if is_pattern(path) else [(path, False)]
    return tuple(without_copies(_once(found)))


def one_run(given: str | Path) -> Path:
    """The folder of the one run that a command works on; a pattern may name it.

    Args:
        given: a folder, or a pattern that one finished run matches.

    Raises:
        ConfigError: several runs match.
    """
    path = Path(given).expanduser()
    if is_ensemble(path):
        inside = runs_in(path)
        if len(inside) > 1:
            raise ConfigError(f"run={given} holds {len(inside)} runs; this command takes one, such as run={inside[0]}")
        return inside[0]
    if not is_pattern(path):
        return path
    folders = without_copies(_once([(folder, True) for folder in matches(str(path))]))
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders[:3]) + (", ..." if len(folders) > 3 else "")
        raise ConfigError(f"run={given} matches {len(folders)} finished runs ({names}); this command takes one of them")
    return folders[0]


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern, and not the name of something that exists."""
    return glob.has_magic(str(path)) and not path.exists()


def matches(pattern: str) -> list[Path]:
    """The finished runs among the folders that a pattern matches; logs the others.

    Args:
        pattern: as typed.

    Raises:
        ConfigError: no folder matches, or none of them is a finished run with weights.
    """
    found = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207 (absolute ones too)
    folders = [path for path in found if path.is_dir() or (path.is_symlink() and not path.exists())]
    if not folders:
        raise ConfigError(f"run={pattern}: no folder matches this pattern; give the folder that training printed")
    states = {folder: _usable(folder) for folder in folders}
    taken = [folder for folder, state in states.items() if state.state == FINISHED]
    left = [f"{folder} ({state})" for folder, state in states.items() if state.state != FINISHED]
    left.sort(key=lambda line: line.endswith(f"({NO_RUN})"))  # what can be explained comes first
    if not taken:
        more = f", and {len(left) - 3} more" if len(left) > 3 else ""
        raise ConfigError(f"run={pattern} matches no finished run: {'; '.join(left[:3])}{more}")
    for line in left[:SHOWN]:
        log.warning("run=%s leaves out %s", pattern, line)
    if len(left) > SHOWN:
        log.warning("run=%s leaves out %d more", pattern, len(left) - SHOWN)
    return taken


def _usable(folder: Path) -> FolderState:
    if not folder.exists():
        return FolderState(NO_RUN, "a link to nothing")
    state = state_of(folder)
    if state.state == FINISHED and lacks_weights(folder):
        return FolderState("without weights", "best.ckpt is missing, as in a paper's archive")
    return state


def _once(found: Sequence[tuple[Path, bool]]) -> list[Path]:
    """Leaves out folders that a pattern matches again; one that is typed twice is an error."""
    kept: dict[Path, Path] = {}
    for folder, matched in found:
        real = folder.resolve()
        if real in kept and not matched:
            raise ConfigError(f"run names {folder} twice, so it would count twice; name each run once")
        if real in kept:
            log.warning("%s is the run %s: counted once", folder, kept[real])
        kept.setdefault(real, folder)
    return list(kept.values())
