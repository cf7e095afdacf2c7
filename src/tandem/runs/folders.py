"""What a folder is: a finished run, a run in another state, or no run at all."""

from dataclasses import dataclass
from pathlib import Path

from tandem.errors import DataError
from tandem.jobs.lock import is_locked
from tandem.jobs.status import STATUS, read_status
from tandem.utils.artifacts import BEST, FIND_LR, MANIFEST, PAPER, PREDICTIONS, RESULTS
from tandem.utils.digests import read_artifact
from tandem.utils.written import written_by

FINISHED, NO_RUN, UNREADABLE = "finished", "no run", "unreadable"


@dataclass(frozen=True)
class FolderState:
    """What a folder is.

    Attributes:
        state: `finished`, `no run`, or a state of a job: `failed`, `interrupted`, `running`, `killed`, ...
        reason: in one line; empty if nothing more is known.
    """

    state: str
    reason: str = ""

    def __str__(self) -> str:
        """State and reason in one line."""
        return f"{self.state}: {self.reason}" if self.reason else self.state


def state_of(folder: Path) -> FolderState:
    """Finds out what a folder is from the files in it.

    Args:
        folder: any folder.
    """
    if (folder / RESULTS).is_file():
        try:
            results = read_artifact(folder / RESULTS)
        except (OSError, ValueError, DataError) as error:
            return FolderState(UNREADABLE, f"{RESULTS}: {' '.join(str(error).split())}")
        whole = isinstance(results, dict) and isinstance(results.get("config"), dict)
        return FolderState(FINISHED) if whole else FolderState(UNREADABLE, f"{RESULTS} holds no configuration")
    if (other := what_else(folder)) is not None:
        return FolderState(NO_RUN, other)
    status = read_status(folder)
    if state := str(status.get("state", "")):
        if state == "running" and not is_locked(folder):
            return FolderState("killed", "its process has ended without results; rerun its command to resume it")
        if state == FINISHED:
            return FolderState("without results", f"{RESULTS} was removed")
        return FolderState(state, str(status.get("error", "")))
    if (folder / "config.yaml").is_file():
        return FolderState("not finished")
    inside = next((path for depth in ("*", "*/*") for path in sorted(folder.glob(f"{depth}/{RESULTS}"))), None)
    return FolderState(NO_RUN, "" if inside is None else f"it holds runs, such as {inside.parent}")


def what_else(folder: Path) -> str | None:
    """What made a folder that is no run's; None if that is unknown, or if it is a run's.

    Args:
        folder: without results of a run.
    """
    if (folder / FIND_LR).is_file() or (folder / "find_lr.log").is_file():
        return "a learning-rate search"
    if (folder / MANIFEST).is_file() and (folder / PREDICTIONS).is_file():
        return "predictions"
    if (folder / PAPER).is_file():
        return "the archive of a paper, whose runs have no weights"
    if commands := written_by(folder):
        return f"written by {' and '.join(commands)}"
    return None


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, in any state."""
    return (folder / RESULTS).is_file() or ((folder / STATUS).is_file() and "sweep" in read_status(folder))


def lacks_weights(folder: Path) -> bool:
    """Whether a finished run has results alone, as in the archive of a paper."""
    return not (folder / BEST).is_file()
