"""Metrics of one run computed from its rows per image, by the conventions of papers that score empty masks."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tandem.metrics.overlap import dice_parts
from tandem.refine import Overlaps, Predicted, Refinement

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]

BINS = 15
"""Bins of the calibration error."""


@dataclass(frozen=True)
class Answers:
    """Predictions of a run for M images, at one threshold.

    Attributes:
        ids: (M,) names.
        labels: (M,) true classes; empty where unknown.
        true: (M,) area of the true mask in pixels; None if the run has no masks.
        drawn: (M,) area of the predicted mask in pixels.
        hits: (M,) area of the intersection in pixels.
        predicted: (M,) predicted classes; None if the run predicts no classes.
        probabilities: (M, C) of each class; None if they are not known.
        classes: names of the C classes.
    """

    ids: Texts
    labels: Texts
    true: Counts | None
    drawn: Counts | None
    hits: Counts | None
    predicted: Texts | None
    probabilities: Floats | None = None
    classes: tuple[str, ...] = ()

    def pick(self, rows: npt.NDArray[np.bool_]) -> "Answers":
        """Those of some images.

        Args:
            rows: (M,) which ones.
        """
        parts = ("ids", "labels", "true", "drawn", "hits", "predicted", "probabilities")
        kept = {name: part[rows] for name in parts if (part := getattr(self, name)) is not None}
        return replace(self, **kept)


def refined(answers: Answers, refine: Refinement, validation: Answers | None = None) -> Answers:
    """Makes predicted classes and masks consistent.

    Args:
        answers: predictions, with masks and classes.
        refine: the rule.
        validation: predictions of validation images at the same threshold, for a rule that is fitted on them.
    """
    rows = _predicted(answers)
    if rows is None or answers.drawn is None or answers.hits is None:
        return answers
    if refine.fitted and validation is not None:
        seen, dices = _predicted(validation), _dice(validation)
        assert seen is not None  # the same tasks
        assert dices is not None
        assert validation.true is not None
        refine = refine.fit(seen, Overlaps(dices, validation.true > 0))
    predicted, emptied = refine.apply(rows)
    drawn, hits = np.where(emptied, 0, answers.drawn), np.where(emptied, 0, answers.hits)
    return replace(answers, predicted=predicted, drawn=drawn, hits=hits)


def _predicted(answers: Answers) -> Predicted | None:
    if answers.predicted is None or answers.drawn is None:
        return None
    return Predicted(answers.predicted, answers.probabilities, answers.classes, answers.drawn == 0)


def measure(name: str, answers: Answers, of: str | None = None) -> float:
    """Computes a metric of a run; nan if the run has no such task or no such image.

    Args:
        name: one of `MEASURES`.
        answers: predictions of the run.
        of: use only images of this true class; None: use all images.
    """
    rows = np.ones(len(answers.ids), bool) if of is None else answers.labels == of
    return MEASURES[name](answers.pick(rows)) if rows.any() else float("nan")


def dice(answers: Answers) -> float:
    """Mean over all images of `2 |P n T| / (|P| + |T|)`; without lesion: 1 if the prediction is empty, else 0."""
    values = _dice(answers)
    return float("nan") if values is None else float(values.mean())


def dice_lesion(answers: Answers) -> float:
    """Mean Dice over the images with a lesion only."""
    values = _dice(answers)
    return float("nan") if values is None or answers.true is None else _mean(values[answers.true > 0])


def specificity_empty(answers: Answers) -> float:
    """Share of the images without lesion whose predicted mask is empty."""
    if answers.true is None or answers.drawn is None:
        return float("nan")
    return _mean(answers.drawn[answers.true == 0] == 0)


def accuracy(answers: Answers) -> float:
    """Share of the images whose class is predicted correctly."""
    return float("nan") if answers.predicted is None else _mean(answers.predicted == answers.labels)


def f1_weighted(answers: Answers) -> float:
    """Mean over the classes of `2 TP / (2 TP + FP + FN)`, each weighted by its number of images."""
    found = _scores(answers, _f1)
    if isinstance(found, float):
        return found
    values, support = found
    # not np.dot, whose last bit depends on the processor, while the tables of an archive are compared byte for byte
    return math.fsum(values * support) / float(support.sum())


def f1_macro(answers: Answers) -> float:
    """Mean F1 over the classes that have images, each with equal weight."""
    found = _scores(answers, _f1)
    return found if isinstance(found, float) else float(found[0].mean())


def balanced_accuracy(answers: Answers) -> float:
    """Mean recall over the classes that have images."""
    found = _scores(answers, lambda hits, support, claimed: hits / support)
    return found if isinstance(found, float) else float(found[0].mean())


def auroc(answers: Answers) -> float:
    """Mean over the classes of the area under the ROC curve, each against the rest; nan if the images have one class.

    Of two classes it is the area of either.
    """
    from sklearn.metrics import roc_auc_score

    if answers.probabilities is None:
        return float("nan")
    true = [(answers.labels == name, p) for name, p in zip(answers.classes, answers.probabilities.T, strict=True)]
    found = [float(roc_auc_score(own, p)) for own, p in true if own.any() and not own.all()]
    return math.fsum(found) / len(found) if found else float("nan")


def calibration_error(answers: Answers) -> float:
    """Expected calibration error of the most probable class: `sum_b |right_b - p_b| / M` over bins of equal width.

    right_b: images of bin b whose most probable class is right. p_b: sum of their probabilities.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017; 15 bins as there.
    """
    if answers.probabilities is None:
        return float("nan")
    sure = answers.probabilities.max(1)
    right = np.array(answers.classes)[answers.probabilities.argmax(1)] == answers.labels
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, right - sure, BINS)
    return math.fsum(np.abs(gaps)) / len(sure)


MEASURES: dict[str, Callable[[Answers], float]] = {
    "dice": dice,
    "dice_lesion": dice_lesion,
    "specificity_empty": specificity_empty,
    "accuracy": accuracy,
    "auroc": auroc,
    "balanced_accuracy": balanced_accuracy,
    "calibration_error": calibration_error,
    "f1_macro": f1_macro,
    "f1_weighted": f1_weighted,
}
"""Metrics that a column of a table can name as its `measure`."""


def _dice(answers: Answers) -> npt.NDArray[np.float64] | None:
    if answers.true is None or answers.drawn is None or answers.hits is None:
        return None
    part, both = dice_parts(answers.hits, answers.drawn, answers.true)
    some = np.where(both > 0, part / np.maximum(both, 1), 1.0)
    return np.where(answers.true > 0, some, (answers.drawn == 0).astype(np.float64))


def _f1(hits: int, support: int, claimed: int) -> float:
    part, whole = dice_parts(hits, claimed, support)
    return float(part / whole)


def _scores(
    answers: Answers, score: Callable[[int, int, int], float]
) -> float | tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Score and number of images of each class that has images; nan if the run predicts no classes."""
    if answers.predicted is None:
        return float("nan")
    found = []
    for name in np.unique(answers.labels):
        true, claimed = answers.labels == name, answers.predicted == name
        found.append((score(int((true & claimed).sum()), int(true.sum()), int(claimed.sum())), float(true.sum())))
    values, support = np.array(found).T
    return values, support


def _mean(values: npt.NDArray[np.generic]) -> float:
    return float(values.astype(np.float64).mean()) if len(values) else float("nan")
