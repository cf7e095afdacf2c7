"""The settings of a prediction, checked before heavy imports."""

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
    """The settings of the prediction of a folder.

    Attributes:
        runs: folders of finished runs.
        images: a folder, or one image.
        out: the output folder.
        flips: whether to average over flipped copies of the images.
        overlays: whether to draw the masks over the images.
        batch_size: number of images per batch.
        device: `auto`, `cpu`, `cuda` or `mps`.
        data: data options that override those of the runs: `size`, `grey_range`, `background`.
        overwrite: whether to replace files in `out` that this command did not write.
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
    overwrite: bool = False
    mixed: bool = False


def read_settings(config: Mapping[str, Any]) -> PredictSettings:
    """Reads and checks a resolved configuration.

    Args:
        config: the resolved configuration of `conf/predict.yaml`.

    Raises:
        ConfigError: if a value is invalid.
    """
    images, out = Path(config["images"]).expanduser(), Path(config["out"]).expanduser()
    if not images.exists():
        raise ConfigError(f"images={images}: no such folder or file")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"out={out} is a file, but must be a folder")
    own = (images if images.is_dir() else images.parent).resolve()
    if own.is_relative_to(out.resolve()):
        raise ConfigError(
            f"out={out} is the images' own folder, or one above it, where images and answers would mix; give another"
        )
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
        overwrite=config.get("overwrite", False),
        mixed=bool(config.get("mixed")),
    )


def run_folders(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """Returns the folders that `run` names: one, several, or those that match patterns, in the given order.

    Args:
        given: a folder, a pattern with `*`, `?` or `[`, or a list of them.

    Raises:
        ConfigError: if a pattern has no match, a folder is named twice, or there is none.
    """
    listed = [given] if isinstance(given, str | Path) else given
    if not isinstance(listed, Sequence) or not all(isinstance(entry, str | Path) for entry in listed) or not listed:
        raise ConfigError(f"run is {given!r}, but must be a run folder or a list of run folders")
    found = [folder for entry in listed for folder in _matches(str(Path(entry).expanduser()))]
    if twice := [folder for folder in found if sum(folder.resolve() == other.resolve() for other in found) > 1]:
        raise ConfigError(f"run names {twice[0]} twice, so it would count twice; name each run once")
    return tuple(found)


def _matches(entry: str) -> list[Path]:
    if not glob.has_magic(entry) or Path(entry).exists():
        return [Path(entry)]
    folders = sorted(Path(path) for path in glob.glob(entry) if Path(path).is_dir())  # noqa: PTH207 (absolute ones too)
    if not folders:
        raise ConfigError(f"run={entry}: no folder matches this pattern")
    return folders


def check_device(device: str) -> None:
    """Checks the name of a device.

    Raises:
        ConfigError: if the name is unknown.
    """
    if device not in DEVICES:
        raise ConfigError(f"device is '{device}': {nearest(device, DEVICES)}")
