"""Masks of classes by their decision beside those of the most probable class, with paired differences per image."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.stages import RANKDICE
from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.evaluate.decided_table import TITLE, StageMeasure
from tandem.evaluate.findings import ScoreTable
from tandem.metrics.objective import Objective
from tandem.tasks import Task

LIKELIEST = "most probable class"

NOTE = (
    "Differences are to the most probable class of each pixel, image by image, with 95 % bootstrap intervals over "
    "{over}. rankdice: one class for each pixel, for a high mean of the classes' expected Dice (Wang and Dai, 2025). "
    "Dice per image: over images with the class; 'predicted empty': share of those without."
)


class DecidedClasses:
    """Collects the counts of each class; nothing, if each pixel has its most probable class.

    Args:
        task: the task, with its decision.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.kept: list[npt.NDArray[np.int64]] = []

    def see(self, likeliest: Tensor, drawn: Tensor, target: Tensor) -> None:
        """Adds a batch.

        Args:
            likeliest: (N, H, W) the most probable class.
            drawn: (N, H, W) the class of the decision.
            target: (N, H, W) the true class, with 255 where unknown.
        """
        if self.task.decision.plain:
            return
        known = target != MISSING_PIXEL
        for_class = []
        for c in range(self.task.channels):
            true = (target == c) & known
            counted = [known, true]
            for mask in (likeliest == c, drawn == c):
                counted += [mask & known, mask & true]
            for_class.append(np.stack([part.flatten(1).sum(1).cpu().numpy() for part in counted], axis=-1))
        self.kept.append(np.stack(for_class, axis=1))

    def tables(self, draws: BootstrapSamples) -> Sequence[ScoreTable]:
        """A table of each class but the background.

        Args:
            draws: bootstrap samples of the images.
        """
        if not self.kept:
            return []
        counts, names = np.concatenate(self.kept), self.task.class_names
        stages = (LIKELIEST, RANKDICE)
        return [
            StageMeasure(counts[:, c], stages, Objective(), LIKELIEST).table(
                f"{TITLE}: {names[c]}", NOTE.format(over=draws.over), draws
            )
            for c in range(1, len(names))
        ]
