"""Evaluates embeddings: classes of nearest neighbours, and a two-dimensional map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate, mean_of
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.findings import Drawing, Findings, Score, ScoreTable
from tandem.evaluate.report import figures
from tandem.metrics.catalogue import CATALOGUE
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import Embedding, Kind
from tandem.utils.files import shortest

if TYPE_CHECKING:
    from tandem.evaluate.split import Split

ROWS = 1024
"""Number of images whose neighbours are searched at once."""


class Vectors(Evaluator):
    """Evaluates a unit vector for each image. See `Evaluator` for the arguments."""

    of: ClassVar[type[Kind]] = Embedding

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        super().__init__(task, split, folder)
        self.kept: list[tuple[Array, npt.NDArray[np.int64]]] = []

    @property
    def columns(self) -> Sequence[str]:
        """Class and coordinates."""
        return ["true", *(f"v{index}" for index in range(self.task.channels))]

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Stores embeddings and classes."""
        places, target = output.probabilities.cpu().double().numpy(), output.target.cpu().numpy()
        self.kept.append((places, target))
        names = self.split.classes
        return [
            {"true": names[true], **{f"v{index}": shortest(value) for index, value in enumerate(row)}}
            for row, true in zip(places, target, strict=True)
        ]

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Computes how often the nearest image has the same class."""
        if not self.kept:
            return Findings({}, notes=["No image of this split has a target."])
        places, y = (np.concatenate([part[which] for part in self.kept]) for which in (0, 1))
        hits = nearest_shares_class(places, y)
        names = self.split.classes
        of_class = {name: np.where(y == c, hits, np.nan) for c, name in enumerate(names)}

        def measure(weights: Array) -> dict[str, Array]:
            shares = {f"precision_at_1/{name}": mean_of(weights, values) for name, values in of_class.items()}
            return {"precision_at_1": mean_of(weights, hits), **shares}

        scores = estimate(measure, draws)
        rows: list[list[str | int | float | Score]] = [
            [name, int((y == c).sum()), scores[f"precision_at_1/{name}"]] for c, name in enumerate(names)
        ]
        note = (
            "Share of images whose nearest other image has the same class, with 95 % bootstrap intervals over the "
            f"query {draws.over} (neighbours are not resampled). An image that is alone in its class is no query."
        )
        table = ScoreTable("Nearest image", ["class", "images", CATALOGUE["precision_at_1"].one_label], rows, note)
        drawing = Drawing(figures.places(project(places), [names[c] for c in y]), "The first two principal components")
        return Findings(scores, [table], [drawing])


def nearest_shares_class(places: Array, y: npt.NDArray[np.int64]) -> Array:
    """(M,) 1 if the most similar other image has the same class, 0 if not, nan for an image alone in its class.

    Args:
        places: (M, D) unit vectors.
        y: (M,) class indices.
    """
    count = len(y)
    hits = np.full(count, np.nan)
    alone = np.bincount(y)[y] < 2
    for top in range(0, count, ROWS):
        rows = np.arange(top, min(top + ROWS, count))
        near = places[rows] @ places.T
        near[rows - top, rows] = -np.inf
        hits[rows] = y[near.argmax(1)] == y[rows]
    hits[alone] = np.nan
    return hits


def project(places: Array) -> Array:
    """(M, 2) coordinates along the first two principal components."""
    centred = places - places.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    flat: Array = centred @ directions[:2].T
    return flat
