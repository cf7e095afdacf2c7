"""Scores of a classification by class, where an absent class is nan and is left out of means."""

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC, MulticlassAveragePrecision, MulticlassConfusionMatrix
from torchmetrics.utilities import dim_zero_cat

from tandem.errors import ConfigError
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


def class_support(targets: Any, classes: int) -> Tensor:
    """(C,) rows of each class, from the targets that a metric keeps."""
    return torch.bincount(dim_zero_cat(targets), minlength=classes)


def _quietly(compute: Callable[[], Tensor]) -> Tensor:
    """Compute without torchmetrics' warning about classes whose value becomes nan."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No (positive|negative) samples in targets")
        return compute()


class ClassScore(MulticlassConfusionMatrix):
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

    higher_is_better = True

    def __init__(self, num_classes: int, score: Score, average: Average = "none", **options: Any) -> None:
        super().__init__(num_classes, **options)
        if score not in get_args(Score):
            raise ConfigError(f"score is '{score}', but must be one of {', '.join(get_args(Score))}")
        self.score = score
        self.average = _checked(average)

    def compute(self) -> Tensor:
        """(C,) or a scalar."""
        matrix = self.confmat.double()
        hits, support, claimed = matrix.diag(), matrix.sum(1), matrix.sum(0)
        above, below = {
            "recall": (hits, support),
            "precision": (hits, claimed),
            "f1": dice_parts(hits, claimed, support),
            "specificity": (matrix.sum() - support - claimed + hits, matrix.sum() - support),
        }[self.score]
        values = above / torch.where(below > 0, below, 1.0)
        return average_classes(values.float(), support, self.average)


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
        support = class_support(self.target, self.num_classes)
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
        return average_classes(
            _quietly(super().compute), class_support(self.target, self.num_classes), self.over_classes
        )
