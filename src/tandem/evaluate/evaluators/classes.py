"""Evaluates classification: confusion matrix, curves, calibration and scores of each class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate, mean_known, mean_of, ratio
from tandem.evaluate.curve_bands import answer_sums, ranking_bands, reliability_bands, score_counts
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.findings import Drawing, Findings, Score, ScoreTable, Shown
from tandem.evaluate.ranking import areas, curves_of, rank
from tandem.evaluate.reliability import reliability
from tandem.evaluate.report import figures
from tandem.evaluate.risk import Risk
from tandem.metrics.catalogue import CATALOGUE
from tandem.metrics.overlap import dice_parts
from tandem.reports.figures import confusion_figure
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import ClassLabel, Kind
from tandem.utils.files import shortest

if TYPE_CHECKING:
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.split import Split

OF_CLASS = ("recall", "precision", "f1", "auroc", "average_precision")
"""Scores of each class against the rest in the table."""


class Classes(Evaluator):
    """Evaluates one class of C for each image. See `Evaluator` for the arguments."""

    of: ClassVar[type[Kind]] = ClassLabel

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        super().__init__(task, split, folder)
        self.kept: list[tuple[Array, npt.NDArray[np.int64]]] = []

    @property
    def columns(self) -> Sequence[str]:
        """True class, predicted class, and the probability of each class."""
        return ["true", "predicted", *(f"probability.{name}" for name in self.task.class_names)]

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Stores probabilities and classes."""
        names = self.task.class_names
        probabilities, target = output.probabilities.cpu(), output.target.cpu()
        self.kept.append((probabilities.double().numpy(), target.numpy()))
        return [
            {
                "true": names[true],
                "predicted": names[predicted],
                **{f"probability.{name}": shortest(p) for name, p in zip(names, row, strict=True)},
            }
            for true, predicted, row in zip(
                target.tolist(), probabilities.argmax(1).tolist(), probabilities.tolist(), strict=True
            )
        ]

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Computes scores over all classes and of each class, with intervals."""
        if not self.kept:
            return Findings({}, notes=["No image of this split has a target."])
        names = self.task.class_names
        p, y = self._arrays()
        scores = estimate(ClassMeasure(p, y, names), draws)
        matrix = confusion(p.argmax(1), y, len(names))
        curves: dict[str, dict[str, Any]] = {
            name: {**curves_of(rank(p[:, c], y == c)), "band": ranking_bands(*score_counts(p[:, c], y == c), draws)}
            for c, name in enumerate(names)
            if 0 < (y == c).sum() < len(y)
        }
        points = {name: self._operating(matrix, c) for c, name in enumerate(names) if name in curves}
        right = (p.argmax(1) == y).astype(np.float64)
        sure = {**reliability(p.max(1), right), **reliability_bands(answer_sums(p.max(1), right), draws)}
        return Findings(
            scores,
            [self._table(scores, matrix, draws.over)],
            [
                Drawing(confusion_figure(matrix, names), "Confusion matrix: images, and share of the true class"),
                Drawing(
                    figures.roc(curves, points),
                    f"ROC of each class against the rest; the point: the predicted class; {figures.BANDS}",
                ),
                Drawing(
                    figures.precision_recall(curves, points),
                    f"Precision and recall of each class against the rest; {figures.BANDS}",
                ),
                Drawing(
                    figures.reliability({"predicted class": sure}),
                    f"Reliability of the predicted class's probability; {figures.BANDS}",
                ),
            ],
            {"confusion": matrix.tolist(), "ranking": curves, "operating": points, "reliability": sure},
        )

    def risks(self) -> Sequence[Risk]:
        """See `Evaluator`."""
        if not self.kept:
            return ()
        p, y = self._arrays()
        return [Risk("", p.max(1), (p.argmax(1) != y).astype(np.float64), "accuracy", "the largest probability")]

    def measure(self) -> "ClassMeasure | None":
        """See `Evaluator`."""
        return ClassMeasure(*self._arrays(), self.task.class_names) if self.kept else None

    def show(self, viewer: "CaseViewer", count: int) -> list[Shown]:
        """Shows Grad-CAM maps of the most confident wrong and right predictions."""
        if not self.kept or not count:
            return []
        p, y = self._arrays()
        answer, sure = p.argmax(1), p.max(1)
        picked: list[tuple[int, int, str]] = []
        for title, among in (("wrong", answer != y), ("right", answer == y)):
            rows = np.flatnonzero(among)
            for row in rows[np.argsort(-sure[rows], kind="stable")][:count].tolist():
                caption = f"{title}: {self.ids[row]}, {self._caption(answer[row], sure[row], y[row])}"
                picked.append((self.places[row], int(answer[row]), caption))
        return [viewer.cams(self.task, picked)]

    def _caption(self, answer: int, sure: float, true: int) -> str:
        names = self.task.class_names
        return f"predicted {names[answer]} ({sure:.2f}), true {names[true]}"

    def _arrays(self) -> tuple[Array, npt.NDArray[np.int64]]:
        """(M, C) probabilities and (M,) classes."""
        return np.concatenate([p for p, _ in self.kept]), np.concatenate([y for _, y in self.kept])

    def _operating(self, matrix: npt.NDArray[np.int64], c: int) -> dict[str, float]:
        """Operating point of a class on its curves."""
        hits, support, claimed, total = matrix[c, c], matrix[c].sum(), matrix[:, c].sum(), matrix.sum()
        return {
            "sensitivity": float(hits / support),
            "false_positive_rate": float((claimed - hits) / (total - support)),
            "precision": float(hits / claimed) if claimed else float("nan"),
        }

    def _table(self, scores: Mapping[str, Score], matrix: npt.NDArray[np.int64], over: str) -> ScoreTable:
        rows: list[list[str | int | float | Score]] = [
            [name, int(matrix[c].sum()), *(scores[f"{key}/{name}"] for key in OF_CLASS)]
            for c, name in enumerate(self.task.class_names)
        ]
        note = (
            f"Each class against the rest, with 95 % bootstrap intervals over {over}. A class without images in the "
            "split has a dash and is left out of means. Images without a label are ignored."
        )
        return ScoreTable("By class", ["class", "images", *(CATALOGUE[key].one_label for key in OF_CLASS)], rows, note)


def confusion(predicted: npt.NDArray[np.int64], true: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """(C, C) number of images; rows are true classes."""
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)


class ClassMeasure:
    """Every score of a classification as a function of the weight of each image.

    Args:
        p: (M, C) probabilities.
        y: (M,) true classes.
        names: names of the classes.
    """

    def __init__(self, p: Array, y: npt.NDArray[np.int64], names: Sequence[str]) -> None:
        self.names = names
        self.cells = np.eye(len(names) ** 2)[y * len(names) + p.argmax(1)]
        self.brier = ((p - np.eye(len(names))[y]) ** 2).sum(1)
        self.ranked = [rank(p[:, c], y == c) for c in range(len(names))]

    def __call__(self, weights: Array) -> dict[str, Array]:
        """(R,) values by name, for (R, M) weights."""
        classes = len(self.names)
        matrix = (weights @ self.cells).reshape(-1, classes, classes)
        hits, support, claimed = matrix.diagonal(axis1=1, axis2=2), matrix.sum(2), matrix.sum(1)
        total = support.sum(1)
        ranked = [areas(one, weights) for one in self.ranked]
        of_class = {
            "recall": ratio(hits, support),
            "precision": ratio(hits, claimed, known=support),
            "f1": ratio(*dice_parts(hits, claimed, support), known=support),
            "auroc": np.stack([auroc for auroc, _ in ranked], axis=1),
            "average_precision": np.stack([precision for _, precision in ranked], axis=1),
        }
        chance = (support * claimed).sum(1) / total**2
        spread = np.sqrt((total**2 - (support**2).sum(1)) * (total**2 - (claimed**2).sum(1)))
        agreed = hits.sum(1) / total
        found = {
            "accuracy": agreed,
            "balanced_accuracy": mean_known(of_class["recall"]),
            "f1_macro": mean_known(of_class["f1"]),
            "f1_weighted": np.nansum(of_class["f1"] * support, axis=1) / total,
            "auroc": mean_known(of_class["auroc"]),
            "average_precision": mean_known(of_class["average_precision"]),
            "kappa": ratio(agreed - chance, 1 - chance),
            "mcc": np.where(
                spread > 0, (hits.sum(1) * total - (support * claimed).sum(1)) / np.maximum(spread, 1), 0.0
            ),
            "brier": mean_of(weights, self.brier),
        }
        for key, values in of_class.items():
            found |= {f"{key}/{name}": values[:, c] for c, name in enumerate(self.names)}
        return found
