"""What is asked of a reproduction, checked before anything is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError

USUAL = 2
"""So many runs are trained again where `--verify` does not say how many."""

FLAGS = ("verify", "archive", "rerun")


@dataclass(frozen=True)
class PaperSettings:
    """One call of the command.

    Attributes:
        paper: as in its yaml; None where it comes from an archive.
        budget: name of it; None: the paper's first.
        runs: folder of all runs.
        out: folder of the paper; None: `<runs>/papers/<name>`.
        launch: whether what is missing is run.
        verify: so many runs are trained again and compared; 0: none; None: all.
        seed: of their draw.
        tolerance: largest difference where machine, threads or versions are others.
        archive: whether a zip is written.
        source: a zip from which everything is read.
        against: a published folder whose runs are trained again and compared, such as `results/curated_busi`.
        data: settings of the data that differ from reader to reader.
        launcher: further words for the sweeps: how runs are launched.
        folders: further ones with configurations.
        command: what was typed.
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
    mixed: bool = False


def read_settings(config: Mapping[str, Any], **more: Any) -> PaperSettings:
    """Checks a resolved configuration.

    Args:
        config: of `conf/reproduce.yaml`.
        more: `launcher`, `folders` and `command`.

    Raises:
        ConfigError: a value that cannot work, or neither paper nor archive.
    """
    archive, verify = config["archive"], config["verify"]
    source = Path(archive).expanduser() if isinstance(archive, str) else None
    if config["paper"] is None and source is None:
        raise ConfigError("there is no paper; choose one, for instance paper=quick, or give archive=FILE")
    if config["paper"] is not None and source is not None:
        raise ConfigError(f"archive={archive} brings its own paper; leave paper=... out, or make one with --archive")
    if config["against"] is not None and source is not None:
        raise ConfigError("against=FOLDER compares with published numbers, archive=FILE with its own; give one of them")
    if config["rerun"] and source is None:
        raise ConfigError("rerun=true trains the runs of an archive again; give archive=FILE with it")
    count = USUAL if verify is True else int(verify)
    if count < 0:
        raise ConfigError(f"verify is {verify}, but must be at least 0")
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
        mixed=config["mixed"],
        **more,
    )


def spelled(words: Sequence[str]) -> list[str]:
    """The command line with `--verify`, `--verify=3`, `--archive` and `--rerun` written as overrides.

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
