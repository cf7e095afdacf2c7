"""What a tracker is to tandem: a logger of Lightning's that takes texts, images, a summary and an end as well."""

import io
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from pytorch_lightning.loggers import Logger

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tandem.reports.panels import RGBImage

STATUS = {False: "finished", True: "failed"}
"""What a run is called at its end, by whether it failed."""

TYPED = "overrides."
"""What the names of settings begin with under which they are kept once more as they were typed."""


class Tracker(Logger):
    """A tracker: one class with these methods and one yaml in `conf/logger/`, which names it, and nothing else.

    Lightning logs scalars through `log_metrics`; the settings come first and once, by dotted name, through
    `log_hyperparams`. A tracker opens its run at the first of these, not when it is made: data that are refused leave
    no trace in it. Names are logged ones, such as `val/segmentation/panels`; a tracker that cannot keep some character
    of a name puts `_` in its place. Of several devices only the first has trackers.
    """

    @abstractmethod
    def text(self, name: str, text: str, step: int) -> None:
        """Keeps a line of text.

        Args:
            name: of the text.
            text: the line.
            step: optimiser steps so far.
        """

    @abstractmethod
    def image(self, name: str, image: "RGBImage", step: int) -> None:
        """Keeps an image.

        Args:
            name: of the image; the same name at another step is a later version of it.
            image: (H, W, 3) uint8.
            step: optimiser steps so far.
        """

    @abstractmethod
    def summary(self, best: Mapping[str, float], checkpoint: str, step: int) -> None:
        """Keeps what the run is compared with others by.

        Args:
            best: every number of the best checkpoint, as `best/<logged name>`.
            checkpoint: where that lies, seen from the folder of all runs.
            step: optimiser steps so far.
        """

    @abstractmethod
    def finish(self, failed: bool, step: int) -> None:
        """Ends the run, if it was opened, so that the next job of a sweep is another one.

        Args:
            failed: whether it ended before it had results.
            step: optimiser steps so far.
        """

    def finalize(self, status: str) -> None:
        """Lightning's hook at the end of training and of each evaluation, none of which is the end of the run."""


def telling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a table of runs is about: those that were typed, where that is known, and else all of them.

    Args:
        settings: as `log_settings` gives them.

    Example:
        >>> telling({"seed": 1, "optimizer.lr": 0.1, "overrides.seed": "1"}), telling({"seed": 1})
        ({'seed': '1'}, {'seed': 1})
    """
    typed = {key.removeprefix(TYPED): value for key, value in settings.items() if key.startswith(TYPED)}
    return typed or dict(settings)


def drawn(figure: "Figure") -> "RGBImage":
    """(H, W, 3) uint8, a figure as an image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return decoded(buffer)


def decoded(file: IO[bytes] | Path) -> "RGBImage":
    """(H, W, 3) uint8, an image file as an image."""
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
