"""Evaluates regression: errors, and predicted against true values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate, mean_of, ratio
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.findings import Drawing, Findings, Score, ScoreTable
from tandem.evaluate.report import figures
from tandem.metrics.catalogue import CATALOGUE
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import Kind, Number
from tandem.utils.files import shortest
from tandem.utils.resampling import Statistic

if TYPE_CHECKING:
    from tandem.evaluate.split import Split

SHOWN = ("mae", "rmse", "bias", "r2")


class Numbers(Evaluator):
    """Evaluates one or more numbers for each image. See `Evaluator` for the arguments."""

    of: ClassVar[type[Kind]] = Number

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        super().__init__(task, split, folder)
        self.kept: list[tuple[Array, Array]] = []

    @property
    def columns(self) -> Sequence[str]:
        """Predicted and true value of each output."""
        return [f"{self._prefix(c)}{cell}" for c in range(self.task.channels) for cell in ("predicted", "true")]

    def _prefix(self, c: int) -> str:
        return "" if self.task.channels == 1 else f"{self.task.class_names[c]}."

    def _name(self, c: int) -> str:
        """Beginning of the names of a channel's metrics."""
        return self._prefix(c).replace(".", "/")

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Stores predicted and true values."""
        predicted, true = (part.cpu().double().numpy() for part in (output.probabilities, output.target))
        self.kept.append((predicted, true))
        return [
            {
                f"{self._prefix(c)}{cell}": "" if np.isnan(value) else shortest(value)
                for c in range(self.task.channels)
                for cell, value in (("predicted", row[c]), ("true", truth[c]))
            }
            for row, truth in zip(predicted, true, strict=True)
        ]

    def measure(self) -> Statistic | None:
        """See `Evaluator`."""
        if not self.kept:
            return None
        predicted, true = (np.concatenate([part[which] for part in self.kept]) for which in (0, 1))
        found = [(self._name(c), self._measured(c, predicted, true)) for c in range(self.task.channels)]
        parts = [(prefix, *part) for prefix, part in found if part is not None]
        return lambda weights: {
            f"{prefix}{key}": v for prefix, known, part in parts for key, v in part(weights[:, known]).items()
        }

    def _measured(self, c: int, predicted: Array, true: Array) -> "tuple[Any, ErrorMeasure] | None":
        """The images whose number of a channel is known, and its errors; None if there are none."""
        known = np.flatnonzero(~np.isnan(true[:, c]))
        return (known, ErrorMeasure(predicted[known, c], true[known, c])) if len(known) else None

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Computes errors with intervals."""
        if not self.kept:
            return Findings({}, notes=["No image of this split has a target."])
        predicted, true = (np.concatenate([part[which] for part in self.kept]) for which in (0, 1))
        scores: dict[str, Score] = {}
        rows: list[list[str | int | float | Score]] = []
        drawings = []
        for c in range(self.task.channels):
            if (measured := self._measured(c, predicted, true)) is None:
                continue
            known, errors = measured
            p, y = errors.p, errors.y
            found = estimate(errors, draws.of(known))
            scores |= {f"{self._name(c)}{key}": score for key, score in found.items()}
            rows.append([self._prefix(c).rstrip(".") or self.task.name, len(y), *(found[key] for key in SHOWN)])
            of = f"{self._prefix(c).rstrip('.')}: " if self._prefix(c) else ""
            classes = [self.classes[row] for row in known.tolist()]
            drawings.append(Drawing(figures.agreement(p, y, classes), f"{of}Predicted against true value"))
        note = (
            f"With 95 % bootstrap intervals over {draws.over}; bias: predicted minus true. Unknown values are ignored."
        )
        table = ScoreTable("Errors", ["number", "images", *(CATALOGUE[key].one_label for key in SHOWN)], rows, note)
        return Findings(scores, [table], drawings)


class ErrorMeasure:
    """Every error of a number as a function of the weight of each image.

    Args:
        p: (M,) predicted values.
        y: (M,) true values.
    """

    def __init__(self, p: Array, y: Array) -> None:
        self.p, self.y = p, y

    def __call__(self, weights: Array) -> dict[str, Array]:
        """(R,) values by name, for (R, M) weights."""
        p, y = self.p, self.y
        total = mean_of(weights, y)[:, None]
        square = mean_of(weights, (p - y) ** 2)
        spread = ratio((weights * (y - total) ** 2).sum(1), weights.sum(1))
        drawn = weights > 0
        equal = np.where(drawn, y, np.inf).min(1) == np.where(drawn, y, -np.inf).max(1)
        spread = np.where(equal, 0.0, spread)  # not the rounding errors of their mean
        return {
            "mae": mean_of(weights, np.abs(p - y)),
            "rmse": np.sqrt(square),
            "bias": mean_of(weights, p - y),
            "r2": 1 - ratio(square, spread),
        }
