"""Removes the folder of a command that was refused before training."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tandem.utils.artifacts import BEST, FAULTS, LAST, RESULTS

HYDRAS = ".hydra"
"""What Hydra writes into a folder before a job starts, beside the log of the command, which is empty."""

TRAINED = (LAST, BEST, RESULTS, "metrics.csv")
"""Files that only training writes."""


def is_new(folder: Path) -> bool:
    """Whether this process has made a job's folder: nothing but Hydra's files is there, and nothing is logged yet.

    Args:
        folder: as a job finds it when it starts.
    """
    others = [path for path in folder.iterdir() if path.name not in (HYDRAS, FAULTS)]
    return all(path.suffix == ".log" and path.is_file() and not path.stat().st_size for path in others)


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
    runs = Path(str(config.get("runs", "runs"))).absolute()
    remove_refused(folder, [place for place in folder.absolute().parents if place.is_relative_to(runs)])
