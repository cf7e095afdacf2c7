"""Hands over the folds of a plan as one file."""

from collections.abc import Sequence
from pathlib import Path


def write_archive(path: Path, runs: Sequence[Path]) -> None:
    """Writes a zip file of runs, without the absolute paths of this machine.

    Args:
        path: of the zip file.
        runs: the folders of the folds, in order.
    """
    from tandem.runs.ensemble_file import without_paths, write_ensemble
    from tandem.utils.artifacts import RESULTS

    named = {f"fold_{number}": folder for number, folder in enumerate(runs)}
    write_ensemble(path, named, {name: without_paths(folder / RESULTS) for name, folder in named.items()})
