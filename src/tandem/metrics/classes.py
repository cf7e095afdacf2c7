"""Scores of a classification by class, where an absent class is nan and is left out of means."""

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC, MulticlassAveragePrecision
from torchmetrics.utilities import dim_zero_cat

from tandem.errors import ConfigError
from tandem.metrics.confusion import Confusion
from tandem.metrics.overlap import dice_parts

Average = Literal["none", "macro", "weighted"]
Score = Literal["recall", "precision", "f1", "specificity"]


def average_classes(values: Tensor, support: Tensor, average: Average) -> Tensor:
    """Average one value for each class.

    Args:
        values: (C,), one for each class.
        support: (C,), rows of each class. A class without rows has the value nan, and is left out of means.
        average: `none` (all of them), `macro` (each class has the same weight) or `weighted` (by rows).

    Returns:
        (C,) or a scalar.

    Example:
        >>> values, support = torch.tensor([0.5, 1.0, 0.0]), torch.tensor([3, 1, 0])
        >>> average_classes(values, support, "macro"), average_classes(values, support, "weighted")
        (tensor(0.7500), tensor(0.6250))
    """
    known = support > 0
    if average == "none":
        return torch.where(known, values, torch.nan)
    weight = support.double() if average == "weighted" else known.double()
    return ((torch.where(known, values.double(), 0) * weight).sum() / weight.sum()).float()


def _checked(average: str) -> Average:
    if average not in get_args(Average):
        raise ConfigError(f"average is '{average}', but must be one of {', '.join(get_args(Average))}")
    return average  # type: ignore[return-value]


def known_support(probabilities: Any, targets: Any, classes: int) -> Tensor:
    """(C,) rows of each class, from what a metric keeps; all 0 if a probability is nan: then ranks are unknown."""
    support = torch.bincount(dim_zero_cat(targets), minlength=classes)
    return support.masked_fill(dim_zero_cat(probabilities).isnan().any(), 0)


def _quietly(compute: Callable[[], Tensor]) -> Tensor:
    """Compute without torchmetrics' warning about classes whose value becomes nan."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No (positive|negative) samples (found )?in target")
        return compute()


class ClassScore(Confusion):
    """Recall, precision, F1 or specificity of each class, from the counts of the whole split.

    With TP, FP, FN, TN of one class against the rest: recall TP / (TP + FN), precision TP / (TP + FP), F1
    2 TP / (2 TP + FP + FN), specificity TN / (TN + FP). Precision is 0 for a class that is never predicted. A
    class without rows in the split is nan and is left out of means; torchmetrics returns 0 for it.

    Args:
        num_classes: C.
        score: `recall`, `precision`, `f1` or `specificity`.
        average: `none`, `macro` (of recall: the balanced accuracy) or `weighted`.

    Raises:
        ConfigError: an unknown score or average.

    Example:
        >>> metric = ClassScore(num_classes=3, score="recall")
        >>> metric.update(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor([0.5000, 0.5000,    nan])
    """

    def __init__(self, num_classes: int, score: Score, average: Average = "none", **options: Any) -> None:
        super().__init__(num_classes, **options)
        if score not in get_args(Score):
            raise ConfigError(f"score is '{score}', but must be one of {', '.join(get_args(Score))}")
        self.score = score
        self.average = _checked(average)

    def compute(self) -> Tensor:
        """(C,) or a scalar."""
        matrix = self.matrix()
        hits, support, claimed = matrix.diag(), matrix.sum(1), matrix.sum(0)
        above, below = {
            "recall": (hits, support),
            "precision": (hits, claimed),
            "f1": dice_parts(hits, claimed, support),
            "specificity": (matrix.sum() - support - claimed + hits, matrix.sum() - support),
        }[self.score]
        values = above / torch.where(below > 0, below, 1.0)
        return average_classes(values.float(), support, self.average)


class ClassOverlap(Confusion):
    """Base of the overlap of each class, over all rows or pixels of the split.

    A class that is neither there nor predicted is nan, and is left out of the mean.

    Args:
        num_classes: C.
        average: `none` or `macro` (each class has the same weight).
        options: `ignore_index` of `Confusion`, and those of torchmetrics.

    Raises:
        ConfigError: an unknown average.
    """

    def __init__(self, num_classes: int, average: Average = "macro", **options: Any) -> None:
        super().__init__(num_classes, **options)
        if average not in ("none", "macro"):
            raise ConfigError(f"average is '{average}', but must be none or macro")
        self.average: Average = average

    def parts(self, hits: Tensor, predicted: Tensor, actual: Tensor) -> tuple[Tensor, Tensor]:
        """(C,) numerator and denominator, from TP, TP + FP and TP + FN."""
        raise NotImplementedError(f"{type(self).__name__} needs `parts`")

    def compute(self) -> Tensor:
        """(C,) or a scalar."""
        matrix = self.matrix()
        hits, predicted, actual = matrix.diag(), matrix.sum(0), matrix.sum(1)
        above, below = self.parts(hits, predicted, actual)
        return average_classes((above / below).float(), predicted + actual, self.average)


class ClassDice(ClassOverlap):
    """Dice of each class, `2 TP / (2 TP + FP + FN)`. Arguments and errors: `ClassOverlap`.

    Example:
        >>> metric = ClassDice(num_classes=3, average="none")
        >>> metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
        >>> metric.compute()
        tensor([0.6667, 0.6667,    nan])
    """

    def parts(self, hits: Tensor, predicted: Tensor, actual: Tensor) -> tuple[Tensor, Tensor]:
        """Those of Dice."""
        return dice_parts(hits, predicted, actual)


class ClassIoU(ClassOverlap):
    """Intersection over union of each class, `TP / (TP + FP + FN)`. Arguments and errors: `ClassOverlap`.

    Source: Jaccard, 1901, "Distribution de la flore alpine".

    Example:
        >>> metric = ClassIoU(num_classes=3, average="none")
        >>> metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
        >>> metric.compute()
        tensor([0.5000, 0.5000,    nan])
    """

    def parts(self, hits: Tensor, predicted: Tensor, actual: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the intersection over union."""
        return hits, predicted + actual - hits


class MatthewsCorrelation(Confusion):
    """Matthews correlation of true and predicted classes, in [-1, 1]; 0 for guesses.

    With n rows, c of them right, t_k rows of class k and p_k rows predicted as k:
    `(c n - sum_k t_k p_k) / sqrt((n^2 - sum_k p_k^2) (n^2 - sum_k t_k^2))`; of two classes
    `(TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))`. By convention 0 where all rows have one true or
    one predicted class, as in scikit-learn; nan without any row.

    Source: Matthews, 1975; Gorodkin, 2004, "Comparing two K-category assignments by a K-category correlation
    coefficient".

    Args:
        num_classes: C.
        options: `ignore_index` of `Confusion`, and those of torchmetrics.

    Example:
        >>> metric = MatthewsCorrelation(num_classes=2)
        >>> metric.update(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(0.5774)
    """

    def compute(self) -> Tensor:
        """A scalar."""
        matrix = self.matrix()
        hits, predicted, actual, rows = matrix.diag().sum(), matrix.sum(0), matrix.sum(1), matrix.sum()
        # n^2 - sum t_k^2 as sum t_k (n - t_k), which is exactly 0 for one class
        spread = ((predicted * (rows - predicted)).sum() * (actual * (rows - actual)).sum()).sqrt()
        covariance = hits * rows - (predicted * actual).sum()
        return torch.where(spread > 0, covariance / spread, 0 * hits / rows).float()


class ClassAUROC(MulticlassAUROC):
    """Area under the ROC curve of each class against the rest; nan for a class that has no rows or all of them.

    Args:
        num_classes: C.
        average: `none`, `macro` or `weighted`.
    """

    def __init__(self, num_classes: int, average: Average = "macro", **options: Any) -> None:
        super().__init__(num_classes, average="none", **options)
        self.over_classes = _checked(average)

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics' own subclass does
        """(C,) or a scalar."""
        support = known_support(self.preds, self.target, self.num_classes)
        support = torch.where(support == support.sum(), 0, support)  # no other class to compare with
        return average_classes(_quietly(super().compute), support, self.over_classes)


class ClassAveragePrecision(MulticlassAveragePrecision):
    """Average precision of each class against the rest; nan for a class that the split lacks.

    Args:
        num_classes: C.
        average: `none`, `macro` or `weighted`.
    """

    def __init__(self, num_classes: int, average: Average = "macro", **options: Any) -> None:
        super().__init__(num_classes, average="none", **options)
        self.over_classes = _checked(average)

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics' own subclass does
        """(C,) or a scalar."""
        support = known_support(self.preds, self.target, self.num_classes)
        return average_classes(_quietly(super().compute), support, self.over_classes)
