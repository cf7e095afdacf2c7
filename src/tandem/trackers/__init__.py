"""What every tracker is given beside the logged metrics: settings, notes, images and results."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from tandem.config.resolve import NOT_IDENTITY, flatten
from tandem.jobs import read_status
from tandem.trackers.files import Files
from tandem.trackers.mlflow import MLflow
from tandem.trackers.tensorboard import TensorBoard
from tandem.trackers.tracker import TYPED, Tracker, decoded, drawn
from tandem.trackers.trackio import Trackio
from tandem.trackers.wandb import Wandb
from tandem.utils.artifacts import BEST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tandem.reports.panels import RGBImage

__all__ = [
    "Files",
    "MLflow",
    "TensorBoard",
    "Tracker",
    "Trackio",
    "Wandb",
    "finish",
    "log_figure",
    "log_image",
    "log_numbers",
    "log_results",
    "log_settings",
    "log_text",
    "trackers",
]

WITHOUT_EFFECT = tuple(f"{key}." for key in NOT_IDENTITY)


def trackers(trainer: pl.Trainer) -> list[Tracker]:
    """Those of the loggers that take more than settings and scalars, which Lightning's own do not.

    Of several devices only the first has any.
    """
    return [logger for logger in trainer.loggers if isinstance(logger, Tracker)]


def log_settings(trainer: pl.Trainer, config: Mapping[str, Any], folder: Path) -> None:
    """Gives each tracker the settings, by dotted name, before anything else.

    What was typed, but for what changes no number, is there again as `overrides.<key>`, so that runs of a sweep can be
    told apart by what was swept, be it a value or a choice such as `overrides.loss/binary@tasks.segmentation.loss`.

    Args:
        trainer: with its loggers.
        config: the resolved configuration, and what was computed from the training targets.
        folder: the run's folder.
    """
    for logger in trainer.loggers:
        logger.log_hyperparams({**flatten(config), **_typed(folder)})


def log_numbers(trainer: pl.Trainer, numbers: Mapping[str, float]) -> None:
    """Gives each tracker numbers that are no metrics of the run, and so are in none of its tables.

    Args:
        trainer: with its loggers.
        numbers: by name.
    """
    for logger in trainer.loggers:
        logger.log_metrics(dict(numbers), trainer.global_step)


def log_text(trainer: pl.Trainer, name: str, text: str) -> None:
    """Gives each tracker a text.

    Args:
        trainer: with its loggers.
        name: of the text.
        text: a line.
    """
    for tracker in trackers(trainer):
        tracker.text(name, text, trainer.global_step)


def log_image(trainer: pl.Trainer, name: str, image: "RGBImage") -> None:
    """Gives each tracker an image.

    Args:
        trainer: with its loggers.
        name: of the image.
        image: (H, W, 3) uint8.
    """
    for tracker in trackers(trainer):
        tracker.image(name, image, trainer.global_step)


def log_figure(trainer: pl.Trainer, name: str, figure: "Figure") -> None:
    """Gives each tracker a figure, drawn once.

    Args:
        trainer: with its loggers.
        name: of the figure.
        figure: of matplotlib.
    """
    if trackers(trainer):
        log_image(trainer, name, drawn(figure))


def log_results(trainer: pl.Trainer, results: Mapping[str, Any], folder: Path) -> None:
    """Gives each tracker what a run found: numbers, figures and cases of the best checkpoint, and where that lies.

    Args:
        trainer: with its loggers.
        results: what `results.json` holds.
        folder: the run's folder.
    """
    told = trackers(trainer)
    if not told:
        return
    best = {f"best/{name}": value for name, value in results["metrics"].items()}
    checkpoint = Path(os.path.relpath(folder / BEST, results["config"]["runs"])).as_posix()
    images = _images(results, folder)
    for tracker in told:
        tracker.summary(best, checkpoint, trainer.global_step)
        for name, image in images.items():
            tracker.image(f"best/{name}", image, trainer.global_step)


def finish(trainer: pl.Trainer, failed: bool = False) -> None:
    """Ends each tracker's run, without which the jobs of a sweep would all be one run to some of them.

    Args:
        trainer: with its loggers.
        failed: whether the run ended before it had results.
    """
    for tracker in trackers(trainer):
        tracker.finish(failed, trainer.global_step)


def _typed(folder: Path) -> dict[str, str]:
    """What was typed for a run, where a command line began it, and can change a number of it."""
    words = read_status(folder).get("overrides", [])
    pairs = (word.lstrip("+").partition("=") for word in words if not word.startswith("~"))
    return {f"{TYPED}{key}": value for key, _, value in pairs if not f"{key}.".startswith(WITHOUT_EFFECT)}


def _images(results: Mapping[str, Any], folder: Path) -> dict[str, "RGBImage"]:
    """Threshold curves, confusion matrices and panels of the best checkpoint, by logged name."""
    import numpy as np

    from tandem.reports.figures import confusion_figure, sweep_png

    images: dict[str, RGBImage] = {}
    for place, curve in results["curves"].items():
        png = sweep_png(curve, results["metrics"].get(f"{place}/threshold"))
        images[f"{place}/dice_against_threshold"] = decoded(io.BytesIO(png))
    for place, matrix in results["confusion"].items():
        images[f"{place}/confusion"] = drawn(confusion_figure(np.array(matrix["counts"]), matrix["classes"]))
    for path in sorted((folder / "panels").glob("*.png")):
        stage, _, task = path.stem.partition("_")
        images[f"{stage}/{task}/panels"] = decoded(path)
    return images
