"""The settings of a prediction, checked before heavy imports."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.suggest import nearest
from tandem.data.files.spacing import Spacing, read_spacing
from tandem.decisions.asked import STORED, Asked, read_source
from tandem.decisions.wanted import check_threshold, read_threshold
from tandem.errors import ConfigError
from tandem.runs.chosen import run_folders
from tandem.runs.overlap import NONE, read_windows
from tandem.utils.outputs import check_folder, named

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
        data: data options that override those of the runs: `size`, `grey_range`, `background`, `window`;
            and `spacing`, for areas.
        overwrite: whether to replace files in `out` that this command did not write.
        mixed: whether runs of other data, versions, devices or precisions are averaged.
        threshold: `stored`, a number, what it must reach on validation data, or one of these by task.
        decide: what to decide beside the threshold; a file of decisions; None: as the checkpoints say.
        skip_masks: whether files are passed over that are masks of other files in the folder.
        overlap: of windows that pass over images; None: there are none.
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
    skip_masks: bool = True
    threshold: Any = STORED
    decide: Asked | Path | None = None
    overlap: float | None = None

    @property
    def spacing(self) -> Spacing | None:
        """Height and width of a pixel of the images in millimetres, nan if unknown; None: as each file states them."""
        return read_spacing(self.data.get("spacing"))


def read_settings(config: Mapping[str, Any]) -> PredictSettings:
    """Reads and checks a resolved configuration.

    Args:
        config: the resolved configuration of `conf/predict.yaml`.

    Raises:
        ConfigError: if a value is invalid.
    """
    images, out = named(config, "images"), named(config)
    if not images.exists():
        raise ConfigError(f"images={images}: no such folder or file")
    check_folder(out)
    own = (images if images.is_dir() else images.parent).resolve()
    if own.is_relative_to(out.resolve()):
        raise ConfigError(
            f"out={out} is the images' own folder, or one above it, where images and answers would mix; give another"
        )
    if config["batch_size"] < 1:
        raise ConfigError(f"batch_size is {config['batch_size']}, but must be at least 1")
    read_spacing((config["data"] or {}).get("spacing"))
    threshold, decide = read_threshold(config.get("threshold", STORED)), read_source(config.get("decide", STORED))
    check_threshold(threshold)
    overlap = read_windows(config.get("windows", NONE))
    runs = run_folders(config["run"])
    check_one(decide, len(runs))
    return PredictSettings(
        runs=runs,
        images=images,
        out=out,
        flips=config["flips"],
        overlays=config["overlays"],
        batch_size=config["batch_size"],
        device=config["device"],
        data=dict(config["data"] or {}),
        overwrite=config.get("overwrite", False),
        mixed=bool(config.get("mixed")),
        skip_masks=config.get("skip_masks", True),
        threshold=threshold,
        decide=decide,
        overlap=overlap,
    )


def check_one(decide: Asked | Path | None, runs: int) -> None:
    """Raises if a file of decisions is given for several runs.

    Raises:
        ConfigError: it belongs to one run.
    """
    if isinstance(decide, Path) and runs > 1:
        raise ConfigError(f"decide={decide} holds the decisions of one run, but {runs} runs are given; give one run")


def check_device(device: str) -> None:
    """Checks the name of a device.

    Raises:
        ConfigError: if the name is unknown.
    """
    if device not in DEVICES:
        raise ConfigError(f"device is '{device}': {nearest(device, DEVICES)}")
