"""What Hydra writes into a folder before a job can refuse it: remembered, and put back if the job is refused."""

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tandem.errors import TandemError
from tandem.utils.artifacts import RESULTS
from tandem.utils.files import write_whole

MULTIRUN = "multirun.yaml"
"""Hydra's file in the folder of a sweep."""

JOB = ("config.yaml", "hydra.yaml", "overrides.yaml")
"""Hydra's files of a job, in the folder `hydra.output_subdir` of the job's folder."""

_before: dict[Path, bytes | None] = {}


def remember_job(folder: Path, inner: str | None) -> None:
    """Remembers Hydra's files in a folder with results, which may be those of another run.

    Args:
        folder: of the job.
        inner: `hydra.output_subdir`; None: Hydra writes none.
    """
    if inner is not None and (folder / RESULTS).is_file():
        _remember(folder / inner / name for name in JOB)


def remember_run(config: DictConfig) -> None:
    """Remembers the files of a job that is not part of a sweep, before Hydra writes them."""
    with suppress(OmegaConfBaseException, TandemError):  # Hydra reports what cannot be composed
        remember_job(Path(config.hydra.run.dir), config.hydra.output_subdir)


def remember_sweep(config: DictConfig) -> None:
    """Remembers the file of a sweep, before Hydra writes it."""
    with suppress(OmegaConfBaseException, TandemError):
        _remember([Path(config.hydra.sweep.dir) / MULTIRUN])


def put_back(folder: Path) -> None:
    """Puts back what was remembered of the files below a folder; files that were not there are removed."""
    place = folder.absolute()
    for path in [path for path in _before if path.is_relative_to(place)]:
        content = _before.pop(path)
        if content is None:
            path.unlink(missing_ok=True)
        else:
            write_whole(path, partial(_write, content))


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def _remember(paths: Iterable[Path]) -> None:
    for path in paths:
        _before[path.absolute()] = path.read_bytes() if path.is_file() else None


def remove_empty_sweep(folder: Path, runs: Path) -> None:
    """Removes what Hydra has made for a sweep without a job: its file, and folders that are empty then.

    Args:
        folder: of the sweep.
        runs: the folder of all runs, above which nothing is removed.
    """
    put_back(folder)
    for place in (folder.absolute(), *folder.absolute().parents):
        if not place.is_relative_to(runs.absolute()) or not place.is_dir() or any(place.iterdir()):
            return
        if place in (Path.cwd(), *Path.cwd().parents):
            return
        place.rmdir()
