"""Which pictures are alike: nearest neighbours by class, and a map."""

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
"""Images whose neighbours are looked for at once."""


class Vectors(Evaluator):
    """A place on the unit sphere for each image. Arguments: `Evaluator`."""

    of: ClassVar[type[Kind]] = Embedding

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        super().__init__(task, split, folder)
        self.kept: list[tuple[Array, npt.NDArray[np.int64]]] = []

    @property
    def columns(self) -> Sequence[str]:
        """Class and place."""
        return ["true", *(f"v{index}" for index in range(self.task.channels))]

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Keeps places and classes."""
        places, target = output.probabilities.cpu().double().numpy(), output.target.cpu().numpy()
        self.kept.append((places, target))
        names = self.split.classes
        return [
            {"true": names[true], **{f"v{index}": shortest(value) for index, value in enumerate(row)}}
            for row, true in zip(places, target, strict=True)
        ]

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """How often the nearest image is of the same class."""
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
            "Share of images whose nearest other image is of their class, with 95 % bootstrap intervals over "
            f"{draws.over} that ask (neighbours stay as they are). Images that are alone in their class ask nothing."
        )
        table = ScoreTable("Nearest image", ["class", "images", CATALOGUE["precision_at_1"].one_label], rows, note)
        drawing = Drawing(figures.places(project(places), [names[c] for c in y]), "The two directions of most variance")
        return Findings(scores, [table], [drawing])


def nearest_shares_class(places: Array, y: npt.NDArray[np.int64]) -> Array:
    """(M,) 1 where the most similar other image is of the same class, 0 where not, nan for an image alone in its class.

    Args:
        places: (M, D) unit vectors.
        y: (M,) classes.
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
    """(M, 2) coordinates along the two directions of most variance."""
    centred = places - places.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    flat: Array = centred @ directions[:2].T
    return flat
