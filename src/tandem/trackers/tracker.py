"""The interface of a tracker: a Lightning logger that also logs texts, images, a summary and the end of a run."""

import io
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from pytorch_lightning.loggers import Logger

from tandem.reports.table import headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tandem.reports.panels import RGBImage

STATUS = {False: "finished", True: "failed"}
"""Final status of a run, by whether it failed."""

TYPED = "overrides."
"""Prefix of the names under which typed overrides are logged."""

COMPUTED = "computed."
"""Prefix of the names of options that were computed from the training data."""

BEHIND = "with_best/"
"""Prefix of the results that a dashboard shows as numbers; it comes after `train` and `val` in the alphabet."""


class Tracker(Logger):
    """Base class of trackers. To add one, write a class with these methods and a yaml in `conf/logger/` that names it.

    Lightning logs scalars through `log_metrics`; the configuration is logged once, first, by dotted name, through
    `log_hyperparams`. A tracker opens its run at the first of these calls, not when it is created, so that a run with
    invalid data leaves no trace. Names are logged names, such as `val/segmentation/panels`; a tracker replaces
    characters that it does not support with `_`. Only rank 0 has trackers.
    """

    @abstractmethod
    def text(self, name: str, text: str, step: int) -> None:
        """Logs a line of text.

        Args:
            name: name of the text.
            text: the line.
            step: optimiser steps so far.
        """

    @abstractmethod
    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """Logs an image.

        Args:
            name: name of the image; the same name at a later step is a new version of it.
            image: (H, W, 3) uint8.
            step: optimiser steps so far.
        """

    @abstractmethod
    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """Logs the summary by which the run is compared with others.

        Args:
            best: all metrics of the best checkpoint, as `best/<logged name>`.
            checkpoint: path of the checkpoint, relative to the folder of all runs.
            step: optimiser steps so far.
        """

    @abstractmethod
    def finish(self, failed: bool, step: int) -> None:
        """Ends the run, if it was opened, so that the next job of a sweep opens a new one.

        Args:
            failed: whether it ended without results.
            step: optimiser steps so far.
        """

    def finalize(self, status: str) -> None:
        """Does nothing: Lightning calls it after training and after each evaluation, before the run ends."""


def distinguishing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Selects the settings that distinguish runs in a table: the typed and the computed ones, if any was typed, or all.

    Args:
        settings: as logged by `log_settings`.

    Example:
        >>> distinguishing({"seed": 1, "lr": 0.1, "computed.weight": 2.0, "overrides.seed": "1"})
        {'seed': '1', 'computed.weight': 2.0}
        >>> distinguishing({"seed": 1})
        {'seed': 1}
    """
    typed = {key.removeprefix(TYPED): value for key, value in settings.items() if key.startswith(TYPED)}
    computed = {key: value for key, value in settings.items() if key.startswith(COMPUTED)}
    return {**typed, **computed} if typed else dict(settings)


def headlines(best: Mapping[str, float]) -> dict[str, float]:
    """The few results by which runs are compared, under a name that dashboards sort behind the curves.

    Each task has its main metric, on validation and test data. The others are in a table: one diagram each, with one
    point, would stand before every curve.

    Args:
        best: all metrics of the best checkpoint, as `best/<logged name>`.

    Example:
        >>> headlines({"best/val/lesion/dice": 0.5, "best/test/lesion/dice": 0.25, "best/val/lesion/iou": 0.4})
        {'with_best/val/lesion/dice': 0.5, 'with_best/test/lesion/dice': 0.25}
    """
    metrics = {name.removeprefix("best/"): value for name, value in best.items()}
    tasks = dict.fromkeys(name.split("/")[1] for name in metrics if name.count("/") > 1)
    mains = [(task, headline(metrics, task)) for task in tasks]
    names = [f"{stage}/{task}/{main}" for task, main in mains if main for stage in ("val", "test")]
    return {f"{BEHIND}{name}": metrics[name] for name in names if name in metrics}


def behind(name: str) -> str:
    """The name of an image of the best checkpoint on a dashboard that sorts by names: behind the curves.

    Example:
        >>> behind("best/val/lesion/panels"), behind("val/lesion/panels")
        ('with_best/val/lesion/panels', 'val/lesion/panels')
    """
    return f"{BEHIND}{name.removeprefix('best/')}" if name.startswith("best/") else name


def results_table(best: Mapping[str, float]) -> str:
    """All metrics of the best checkpoint as a Markdown table, a line for each with its values on validation and test.

    Args:
        best: as of `headlines`.
    """
    metrics = {name.removeprefix("best/").partition("/")[::2]: value for name, value in best.items()}
    names = dict.fromkeys(name for _, name in metrics)
    stages = [stage for stage in ("val", "test") if any(stage == one for one, _ in metrics)]
    lines = [f"| metric | {' | '.join(stages)} |", f"|---|{'---:|' * len(stages)}"]
    for name in names:
        values = (metrics.get((stage, name)) for stage in stages)
        lines.append(f"| {name} | {' | '.join('' if value is None else f'{value:.6g}' for value in values)} |")
    return "\n".join(lines)


def render(figure: "Figure") -> "RGBImage":
    """Renders a figure as an image, (H, W, 3) uint8."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return read_rgb(buffer)


def read_rgb(file: IO[bytes] | Path) -> "RGBImage":
    """Reads an image file as (H, W, 3) uint8."""
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
