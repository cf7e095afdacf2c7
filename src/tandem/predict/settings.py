"""What is asked of a prediction, checked before anything heavy is imported."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.suggest import nearest
from tandem.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class PredictSettings:
    """One prediction of a folder.

    Attributes:
        runs: folders of finished runs.
        images: a folder, or one picture.
        out: where files go.
        flips: whether mirror images are averaged in.
        overlays: whether masks are drawn over the pictures.
        batch_size: pictures at once.
        device: `auto`, `cpu`, `cuda` or `mps`.
        data: settings of the data that differ from the runs' own: `size`, `grey_range`.
        mixed: whether runs of other data, versions, devices or precisions are averaged.
    """

    runs: tuple[Path, ...]
    images: Path
    out: Path
    flips: bool
    overlays: bool
    batch_size: int
    device: str
    data: Mapping[str, Any]
    mixed: bool = False


def read_settings(config: Mapping[str, Any]) -> PredictSettings:
    """Checks a resolved configuration.

    Args:
        config: of `conf/predict.yaml`.

    Raises:
        ConfigError: a value that cannot work.
    """
    images, out = Path(config["images"]).expanduser(), Path(config["out"]).expanduser()
    if not images.exists():
        raise ConfigError(f"images={images}: there is no such folder or file")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"out={out} is a file, but must be a folder")
    if config["batch_size"] < 1:
        raise ConfigError(f"batch_size is {config['batch_size']}, but must be at least 1")
    return PredictSettings(
        runs=run_folders(config["run"]),
        images=images,
        out=out,
        flips=config["flips"],
        overlays=config["overlays"],
        batch_size=config["batch_size"],
        device=config["device"],
        data=dict(config["data"] or {}),
        mixed=bool(config.get("mixed")),
    )


def run_folders(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """The folders that `run` names: one, several, or those that patterns match, in the order given.

    Args:
        given: a folder, a pattern with `*`, `?` or `[`, or a list of them.

    Raises:
        ConfigError: a pattern without a match, a folder given twice, none at all.
    """
    listed = [given] if isinstance(given, str | Path) else given
    if not isinstance(listed, Sequence) or not all(isinstance(entry, str | Path) for entry in listed) or not listed:
        raise ConfigError(f"run is {given!r}, but must be a run's folder, or a list of them")
    found = [folder for entry in listed for folder in _matches(str(Path(entry).expanduser()))]
    if twice := [folder for folder in found if sum(folder.resolve() == other.resolve() for other in found) > 1]:
        raise ConfigError(f"run names {twice[0]} twice, which would count double; name each run once")
    return tuple(found)


def _matches(entry: str) -> list[Path]:
    if not glob.has_magic(entry) or Path(entry).exists():
        return [Path(entry)]
    folders = sorted(Path(path) for path in glob.glob(entry) if Path(path).is_dir())  # noqa: PTH207 (absolute ones too)
    if not folders:
        raise ConfigError(f"run={entry}: no folder has such a name")
    return folders


def check_device(device: str) -> None:
    """Refuses what is no device.

    Raises:
        ConfigError: an unknown name.
    """
    if device not in DEVICES:
        raise ConfigError(f"device is '{device}': {nearest(device, DEVICES)}")
