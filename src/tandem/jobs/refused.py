"""Removes the folder of a command that was refused before training."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tandem.utils.artifacts import BEST, FAULTS, LAST, RESULTS

HYDRAS = (".hydra", "train.log")
"""What Hydra writes into a folder before a job starts."""

TRAINED = (LAST, BEST, RESULTS, "metrics.csv")
"""Files that only training writes."""


def is_new(folder: Path) -> bool:
    """Whether this process has made a job's folder: nothing but Hydra's files is there, and nothing is logged yet.

    Args:
        folder: as a job finds it when it starts.
    """
    names = {path.name for path in folder.iterdir()}
    logged = folder / HYDRAS[1]
    return names <= {*HYDRAS, FAULTS} and not (logged.exists() and logged.stat().st_size)


def remove_refused(folder: Path, above: Sequence[Path] = ()) -> None:
    """Removes the folder of a refused job, and folders above it that are empty then; a list of faults stays.

    Nothing is removed that training wrote, nor the working directory or a folder that holds it.

    Args:
        folder: of the job; it was new.
        above: folders that may be removed if they are empty, innermost first.
    """
    kept = {Path.cwd(), *Path.cwd().parents}
    if folder.resolve() in kept or folder.is_symlink() or any((folder / name).exists() for name in TRAINED):
        return
    if (folder / FAULTS).exists():
        for path in folder.iterdir():
            if path.name != FAULTS:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return
    shutil.rmtree(folder)
    for parent in above:
        if parent.resolve() in kept or parent.is_symlink() or any(parent.iterdir()):
            return
        parent.rmdir()


def remove_refused_job(folder: Path, config: DictConfig) -> None:
    """Removes the folder that Hydra made for a job that was refused, and the folders above it that were made for it.

    Args:
        folder: of the job; it was new.
        config: of the job, with its `name` and the folder of `runs`.
    """
    handlers: list[Any] = logging.getLogger().handlers
    for handler in handlers:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == folder.absolute():
            handler.close()
    name, runs = str(config.get("name", "")), Path(str(config.get("runs", "runs"))).absolute()
    below = [runs, *(runs.joinpath(*Path(name).parts[: depth + 1]) for depth in range(len(Path(name).parts)))]
    remove_refused(folder, [place for place in reversed(below) if place in folder.absolute().parents])
