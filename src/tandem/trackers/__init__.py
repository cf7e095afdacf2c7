"""Sends trackers what a run logs besides metrics: configuration, texts, images and results."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from tandem.config.identity import is_presentation
from tandem.config.resolve import flatten
from tandem.jobs import read_status
from tandem.trackers.files import Files
from tandem.trackers.mlflow import MLflow
from tandem.trackers.tensorboard import TensorBoard
from tandem.trackers.tracker import TYPED, Tracker, read_rgb, render
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


def trackers(trainer: pl.Trainer) -> list[Tracker]:
    """Returns the loggers that accept texts, images and a summary, which Lightning's own loggers do not.

    Only rank 0 has any.
    """
    return [logger for logger in trainer.loggers if isinstance(logger, Tracker)]


def log_settings(trainer: pl.Trainer, config: Mapping[str, Any], folder: Path) -> None:
    """Logs the configuration by dotted name, before anything else.

    Overrides typed on the command line that can change a number are logged again as `overrides.<key>`, so that runs of
    a sweep can be distinguished by what was swept, a value or a choice such as
    `overrides.loss/binary@tasks.segmentation.loss`.

    Args:
        trainer: the trainer, with its loggers.
        config: the resolved configuration, and values computed from the training targets.
        folder: the run's folder.
    """
    for logger in trainer.loggers:
        logger.log_hyperparams({**flatten(config), **_typed(folder)})


def log_numbers(trainer: pl.Trainer, numbers: Mapping[str, float]) -> None:
    """Logs numbers that are not metrics of the run and so do not appear in its tables.

    Args:
        trainer: the trainer, with its loggers.
        numbers: the numbers by name.
    """
    for logger in trainer.loggers:
        logger.log_metrics(dict(numbers), trainer.global_step)


def log_text(trainer: pl.Trainer, name: str, text: str) -> None:
    """Logs a text.

    Args:
        trainer: the trainer, with its loggers.
        name: name of the text.
        text: one line.
    """
    for tracker in trackers(trainer):
        tracker.text(name, text, trainer.global_step)


def log_image(trainer: pl.Trainer, name: str, image: "RGBImage") -> None:
    """Logs an image.

    Args:
        trainer: the trainer, with its loggers.
        name: name of the image.
        image: (H, W, 3) uint8.
    """
    for tracker in trackers(trainer):
        tracker.image(name, image, trainer.global_step)


def log_figure(trainer: pl.Trainer, name: str, figure: "Figure") -> None:
    """Logs a figure, rendered once for all trackers.

    Args:
        trainer: the trainer, with its loggers.
        name: name of the figure.
        figure: a matplotlib figure.
    """
    if trackers(trainer):
        log_image(trainer, name, render(figure))


def log_results(trainer: pl.Trainer, results: Mapping[str, Any], folder: Path) -> None:
    """Logs the results of the best checkpoint: metrics, figures, cases, and the path of the checkpoint.

    Args:
        trainer: the trainer, with its loggers.
        results: content of `results.json`.
        folder: the run's folder.
    """
    targets = trackers(trainer)
    if not targets:
        return
    best = {f"best/{name}": value for name, value in results["metrics"].items()}
    checkpoint = Path(os.path.relpath(folder / BEST, results["config"]["runs"])).as_posix()
    images = _images(results, folder)
    for tracker in targets:
        tracker.summary(best, checkpoint, trainer.global_step)
        for name, image in images.items():
            tracker.image(f"best/{name}", image, trainer.global_step)


def finish(trainer: pl.Trainer, failed: bool = False) -> None:
    """Ends each tracker's run; otherwise some trackers would log all jobs of a sweep as one run.

    Args:
        trainer: the trainer, with its loggers.
        failed: whether the run ended without results.
    """
    for tracker in trackers(trainer):
        tracker.finish(failed, trainer.global_step)


def _typed(folder: Path) -> dict[str, str]:
    """Returns the overrides of a run started on the command line that can change a number."""
    overrides = read_status(folder).get("overrides", [])
    pairs = (override.lstrip("+").partition("=") for override in overrides if not override.startswith("~"))
    return {f"{TYPED}{key}": value for key, _, value in pairs if not is_presentation(key)}


def _images(results: Mapping[str, Any], folder: Path) -> dict[str, "RGBImage"]:
    """Renders threshold curves, confusion matrices and panels of the best checkpoint, by logged name."""
    import numpy as np

    from tandem.reports.figures import confusion_figure, sweep_png

    images: dict[str, RGBImage] = {}
    for place, curve in results["curves"].items():
        png = sweep_png(curve, results["metrics"].get(f"{place}/threshold"))
        images[f"{place}/dice_against_threshold"] = read_rgb(io.BytesIO(png))
    for place, matrix in results["confusion"].items():
        images[f"{place}/confusion"] = render(confusion_figure(np.array(matrix["counts"]), matrix["classes"]))
    for path in sorted((folder / "panels").glob("*.png")):
        stage, _, task = path.stem.partition("_")
        images[f"{stage}/{task}/panels"] = read_rgb(path)
    return images
