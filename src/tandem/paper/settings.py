"""Options of a reproduction, checked before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError

USUAL = 2
"""Number of runs to train again if `--verify` has no value."""

FLAGS = ("verify", "archive", "rerun")


@dataclass(frozen=True)
class PaperSettings:
    """Options of one call of the command.

    Attributes:
        paper: configuration of the paper; None if it comes from an archive.
        budget: name of the budget; None: the paper's first.
        runs: folder of all runs.
        out: folder of the paper; None: `<runs>/papers/<name>`.
        launch: whether to run what is missing.
        verify: number of runs to train again and compare; 0: none; None: all.
        seed: seed of the choice of these runs.
        tolerance: largest allowed difference if processor, threads or versions differ.
        archive: whether to write a zip file.
        source: a zip file from which everything is read.
        against: a published folder whose runs are trained again and compared, such as `results/curated_busi`.
        data: data options that each reader sets.
        launcher: overrides of the launcher, for the sweeps.
        folders: further folders with configurations.
        command: the typed command.
        overwrite: whether to replace files in `out` that this command did not write.
    """

    paper: Mapping[str, Any] | None
    budget: str | None
    runs: Path
    out: Path | None
    launch: bool
    verify: int | None
    seed: int
    tolerance: float
    archive: bool
    source: Path | None
    against: Path | None
    data: Mapping[str, Any]
    launcher: Sequence[str] = ()
    folders: Sequence[str] = ()
    command: Sequence[str] = ()
    overwrite: bool = False
    mixed: bool = False


def read_settings(config: Mapping[str, Any], **more: Any) -> PaperSettings:
    """Checks a resolved configuration.

    Args:
        config: the resolved configuration of `conf/reproduce.yaml`.
        more: `launcher`, `folders` and `command`.

    Raises:
        ConfigError: a value is not allowed, or neither paper nor archive is given.
    """
    archive, verify = config["archive"], config["verify"]
    source = Path(archive).expanduser() if isinstance(archive, str) else None
    if config["paper"] is None and source is None:
        raise ConfigError("no paper is chosen; set for instance paper=quick, or archive=FILE")
    if config["paper"] is not None and source is not None:
        raise ConfigError(f"archive={archive} holds its own paper; omit paper=..., or write an archive with --archive")
    if config["against"] is not None and source is not None:
        raise ConfigError(
            "against=FOLDER compares with published numbers, archive=FILE with its own; give only one of them"
        )
    if config["rerun"] and source is None:
        raise ConfigError("rerun=true trains the runs of an archive again; add archive=FILE")
    count = USUAL if verify is True else verify
    if not isinstance(count, int) or count < 0:
        raise ConfigError(f"verify is {verify}, but must be at least 0, a whole number")
    if config["seed"] < 0:
        raise ConfigError(f"seed is {config['seed']}, but must be at least 0")
    if not config["tolerance"] >= 0:
        raise ConfigError(f"tolerance is {config['tolerance']}, but must be at least 0")
    return PaperSettings(
        paper=config["paper"],
        budget=config["budget"],
        runs=Path(config["runs"]).expanduser(),
        out=Path(config["out"]).expanduser() if config["out"] else None,
        launch=config["launch"],
        verify=None if config["rerun"] else count,
        seed=config["seed"],
        tolerance=config["tolerance"],
        archive=archive is True,
        source=source,
        against=Path(config["against"]).expanduser() if config["against"] else None,
        data=config["data"],
        overwrite=config["overwrite"],
        mixed=config["mixed"],
        **more,
    )


def spelled(words: Sequence[str]) -> list[str]:
    """Rewrites the flags `--verify`, `--verify=3`, `--archive` and `--rerun` as overrides.

    Example:
        >>> spelled(["paper=quick", "--verify", "--archive"])
        ['paper=quick', 'verify=true', 'archive=true']
    """
    flags = {f"--{name}": name for name in FLAGS}
    found = []
    for word in words:
        flag, equals, value = word.partition("=")
        found.append(f"{flags[flag]}={value if equals else 'true'}" if flag in flags else word)
    return found
