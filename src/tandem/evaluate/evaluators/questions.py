"""Evaluates yes/no questions about whole images: curves, operating point, calibration and F1 against threshold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from tandem.data.batch import MISSING_PIXEL
from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate, ratio
from tandem.evaluate.curve_bands import answer_sums, ranking_bands, reliability_bands, score_counts
from tandem.evaluate.evaluators.classes import confusion
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.findings import Drawing, Findings, Score, ScoreTable, Shown
from tandem.evaluate.ranking import areas, curves_of, rank
from tandem.evaluate.reliability import reliability
from tandem.evaluate.report import figures
from tandem.evaluate.risk import Risk
from tandem.evaluate.risk.confidence import answer_confidence
from tandem.evaluate.sweeps import bands, threshold_optimism
from tandem.metrics import DiceSweep
from tandem.metrics.catalogue import CATALOGUE
from tandem.metrics.overlap import dice_parts
from tandem.reports.figures import confusion_figure
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import Kind, YesNo
from tandem.utils.files import shortest
from tandem.utils.resampling import Statistic

if TYPE_CHECKING:
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.split import Split

OF_QUESTION = ("f1", "sensitivity", "specificity", "ppv", "auroc", "average_precision")
"""Scores of each question in the table."""

DRAWN = 8
"""Maximum number of questions in the figures; the tables hold all."""

GRID = torch.arange(1, 100) / 100


class Questions(Evaluator):
    """Evaluates C yes/no questions about each image. See `Evaluator` for the arguments."""

    of: ClassVar[type[Kind]] = YesNo

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        super().__init__(task, split, folder)
        self.kept: list[tuple[Array, npt.NDArray[np.int64]]] = []
        self.thresholds = task.threshold.cpu().double().numpy()

    @property
    def columns(self) -> Sequence[str]:
        """Probability, answer, truth and threshold of each question."""
        cells = ("probability", "predicted", "true", "threshold")
        return [f"{name}.{cell}" for name in self.task.class_names for cell in cells]

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Stores probabilities and true answers."""
        p, y = output.probabilities.cpu().double().numpy(), output.target.cpu().numpy().astype(np.int64)
        self.kept.append((p, y))
        rows: list[Mapping[str, Any]] = []
        for probabilities, truths in zip(p, y, strict=True):
            cells: dict[str, Any] = {}
            for c, name in enumerate(self.task.class_names):
                cells[f"{name}.probability"] = shortest(probabilities[c])
                cells[f"{name}.predicted"] = int(probabilities[c] >= self.thresholds[c])
                cells[f"{name}.true"] = "" if truths[c] == MISSING_PIXEL else int(truths[c])
                cells[f"{name}.threshold"] = shortest(self.thresholds[c])
            rows.append(cells)
        return rows

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Computes the scores of each question, with intervals."""
        if not self.kept:
            return Findings({}, notes=["No image of this split has a target."])
        names = self.task.class_names
        scores: dict[str, Score] = {}
        rows: list[list[str | int | float | Score]] = []
        lines: dict[str, Any] = {}
        estimates: dict[str, Any] = {}
        drawings: list[Drawing] = []
        for c, name in enumerate(names):
            p, y = self._question(c)
            if not len(y):
                continue
            drawn = draws.of(self._known(c))
            measure = QuestionMeasure(p, y, self.thresholds[c])
            found = estimate(measure, drawn)
            scores |= {key if len(names) == 1 else f"{name}/{key}": score for key, score in found.items()}
            rows.append([name, int(y.sum()), int(len(y) - y.sum()), *(found[key] for key in OF_QUESTION)])
            sweep = self._sweep(p, y, self.thresholds[c])
            lines[name] = {
                "reliability": {
                    **reliability(p, y.astype(np.float64)),
                    **reliability_bands(answer_sums(p, y.astype(np.float64)), drawn),
                },
                "sweep": bands(sweep, ("f1",), drawn),
            }
            if 0 < y.sum() < len(y):
                band = ranking_bands(*score_counts(p, y == 1), drawn)
                ranking = {**curves_of(rank(p, y == 1)), "band": band}
                lines[name] |= {"ranking": ranking, "operating": measure.operating()}
            if choosing:
                estimates[name] = threshold_optimism(sweep, GRID, drawn)
            if c < DRAWN:
                matrix = confusion((p >= self.thresholds[c]).astype(int), y, 2)
                drawings += self._drawn(name, lines[name], matrix, c, drawn.over)
        note = f"With 95 % bootstrap intervals over {draws.over}. PPV: precision. Unknown answers are ignored."
        table = ScoreTable(
            "By question", ["question", "yes", "no", *(CATALOGUE[key].one_label for key in OF_QUESTION)], rows, note
        )
        return Findings(scores, [table], [*self._curves(lines), *drawings], lines, estimates)

    def risks(self) -> Sequence[Risk]:
        """See `Evaluator`."""
        return [self._risk(c) for c in range(len(self.task.class_names) if self.kept else 0)]

    def _risk(self, c: int) -> Risk:
        p, y = (np.concatenate([part[which][:, c] for part in self.kept]) for which in (0, 1))
        wrong = ((p >= self.thresholds[c]) != (y == 1)).astype(np.float64)
        names = self.task.class_names
        return Risk(
            names[c] if len(names) > 1 else "",
            answer_confidence(p, float(self.thresholds[c])),
            np.where(self._known(c), wrong, np.nan),
            "accuracy",
            "distance of the probability from the threshold, as a share of the largest one on its side",
        )

    def measure(self) -> Statistic | None:
        """See `Evaluator`."""
        names = self.task.class_names
        asked = [c for c in range(len(names)) if self.kept and self._known(c).any()]
        measures = {c: QuestionMeasure(*self._question(c), self.thresholds[c]) for c in asked}
        known = {c: self._known(c) for c in asked}

        def measure(weights: Array) -> dict[str, Array]:
            return {
                key if len(names) == 1 else f"{names[c]}/{key}": values
                for c in asked
                for key, values in measures[c](weights[:, known[c]]).items()
            }

        return measure if asked else None

    def show(self, viewer: "CaseViewer", count: int) -> list[Shown]:
        """Shows Grad-CAM maps of the most confident wrong and right answers to the first question."""
        p, y = self._question(0) if self.kept else (np.zeros(0), np.zeros(0, dtype=np.int64))
        if not len(y) or not count:
            return []
        known = np.flatnonzero(self._known(0))
        name, answer = self.task.class_names[0], (p >= self.thresholds[0]).astype(int)
        distance = np.abs(p - self.thresholds[0])
        picked = []
        for title, among in (("wrong", answer != y), ("right", answer == y)):
            rows = np.flatnonzero(among)
            for row in rows[np.argsort(-distance[rows], kind="stable")][:count].tolist():
                caption = f"{title}: {self.ids[known[row]]}, {name} {p[row]:.2f}, true {'yes' if y[row] else 'no'}"
                picked.append((self.places[known[row]], 0, caption))
        return [viewer.cams(self.task, picked)]

    def _known(self, c: int) -> npt.NDArray[np.bool_]:
        """(M,) whether the true answer to one question is known for each image."""
        known: npt.NDArray[np.bool_] = np.concatenate([truth[:, c] for _, truth in self.kept]) != MISSING_PIXEL
        return known

    def _question(self, c: int) -> tuple[Array, npt.NDArray[np.int64]]:
        """Probabilities and true answers of one question, for images whose true answer is known."""
        p, y = (np.concatenate([part[which][:, c] for part in self.kept]) for which in (0, 1))
        known = self._known(c)
        return p[known], y[known].astype(np.int64)

    def _sweep(self, p: Array, y: npt.NDArray[np.int64], threshold: float) -> Any:
        settings = self.split.sweep.of_task.get(self.task.name, self.split.sweep.settings)
        goal = settings.goal(dense=False)
        counted = torch.unique(torch.cat([GRID, torch.tensor([threshold], dtype=torch.float32)]))
        sweep = DiceSweep(counted, goal.aggregate, goal.goal, goal.beta, goal.specificity, goal.empty, images=True)
        sweep.update(torch.from_numpy(p)[:, None], torch.from_numpy(y)[:, None])
        return sweep.compute()

    def _curves(self, lines: Mapping[str, Any]) -> list[Drawing]:
        shown = {name: line for name, line in list(lines.items())[:DRAWN] if "ranking" in line}
        ranking = {name: line["ranking"] for name, line in shown.items()}
        points = {name: line["operating"] for name, line in shown.items()}
        calibration = {name: line["reliability"] for name, line in list(lines.items())[:DRAWN]}
        return [
            Drawing(figures.roc(ranking, points), f"ROC; the point: the applied threshold; {figures.BANDS}"),
            Drawing(
                figures.precision_recall(ranking, points),
                f"Precision and recall; the point: the applied threshold; {figures.BANDS}",
            ),
            Drawing(figures.reliability(calibration), f"Reliability of the probability of yes; {figures.BANDS}"),
        ]

    def _drawn(
        self, name: str, line: Mapping[str, Any], matrix: npt.NDArray[np.int64], c: int, over: str
    ) -> list[Drawing]:
        threshold, f1 = float(self.thresholds[c]), CATALOGUE["f1"].curve
        return [
            Drawing(confusion_figure(matrix, ("no", "yes")), f"{name}: confusion matrix at {threshold:.3g}"),
            Drawing(
                figures.sweep(line["sweep"], {"f1": f1}, threshold, f1),
                f"{name}: {f1} against threshold, with 95 % bootstrap interval over {over}",
            ),
        ]


class QuestionMeasure:
    """Every score of a yes/no question as a function of the weight of each image.

    Args:
        p: (M,) probabilities.
        y: (M,) 0 or 1.
        threshold: a probability of at least this value counts as yes.
    """

    def __init__(self, p: Array, y: npt.NDArray[np.int64], threshold: float) -> None:
        yes, claimed = y == 1, p >= threshold
        self.cells = np.stack([yes & claimed, ~yes & claimed, yes, ~yes], axis=1).astype(np.float64)
        self.ranked = rank(p, yes)

    def __call__(self, weights: Array) -> dict[str, Array]:
        """(R,) values by name, for (R, M) weights."""
        tp, fp, positives, negatives = (weights @ self.cells).T
        auroc, average_precision = areas(self.ranked, weights)
        sensitivity, specificity = ratio(tp, positives), ratio(negatives - fp, negatives)
        return {
            "f1": ratio(*dice_parts(tp, tp + fp, positives), known=positives),
            "ppv": ratio(tp, tp + fp),
            "sensitivity": sensitivity,
            "specificity": specificity,
            "youden": sensitivity + specificity - 1,
            "auroc": auroc,
            "average_precision": average_precision,
        }

    def operating(self) -> dict[str, float]:
        """Operating point of the threshold on the curves."""
        at = self(np.ones((1, len(self.cells))))
        return {
            "sensitivity": float(at["sensitivity"][0]),
            "false_positive_rate": float(1 - at["specificity"][0]),
            "precision": float(at["ppv"][0]),
        }
