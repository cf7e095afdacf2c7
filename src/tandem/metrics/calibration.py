"""Calibration: whether predicted probabilities match observed frequencies."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from tandem.metrics.bins import MISSING


class BinnedCalibrationError(Metric):
    """Expected calibration error of yes/no answers: `sum_b n_b / n |y_b - p_b|` over equal bins of probability.

    p_b: mean probability in bin b. y_b: share of yes in it. n_b: answers in it. Memory does not grow with their number.
    Several questions share the bins.

    Shapes:
        probabilities: (N, C) or (N, C, *spatial), float in [0, 1].
        target: the same shape; 0, 1, or 255 where it is missing.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, for the probability of yes.

    Args:
        bins: of [0, 1], at least 1.

    Example:
        >>> metric = BinnedCalibrationError(bins=10)
        >>> metric.update(torch.tensor([[0.75], [0.75]]), torch.tensor([[1], [0]]))
        >>> metric.compute()
        tensor(0.2500)
    """

    full_state_update = False
    higher_is_better = False
    sums: Tensor

    def __init__(self, bins: int = 15, **options: Any) -> None:
        super().__init__(**options)
        self.bins = bins
        self.add_state("sums", torch.zeros(3, bins, dtype=torch.float64), "sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        p, y = probabilities.flatten().double(), target.flatten()
        known = y != MISSING
        place = (p * self.bins).int().clamp_(0, self.bins - 1)  # nan gets any bin, and makes the error nan
        found = torch.zeros_like(self.sums)
        for sums, row in zip(found, (known.double(), torch.where(known, p, 0), (y == 1).double()), strict=True):
            sums.index_add_(0, place, row)  # one by one, which is several times as fast as along a second dimension
        self.sums = self.sums + found

    def compute(self) -> Tensor:
        """A scalar in [0, 1]; nan without any target."""
        answers, probability, yes = self.sums
        return torch.div((yes - probability).abs().sum(), answers.sum()).float()


class BrierScore(Metric):
    """Brier score of class probabilities: the mean over rows of `sum_c (p_c - [y = c])^2`, from 0 to 2.

    Shapes:
        probabilities: (N, C), float in [0, 1].
        target: (N,), class indices.

    Source: Brier, Verification of Forecasts Expressed in Terms of Probability, 1950.

    Args:
        num_classes: C.

    Example:
        >>> metric = BrierScore(num_classes=2)
        >>> metric.update(torch.tensor([[0.5, 0.5]]), torch.tensor([1]))
        >>> metric.compute()
        tensor(0.5000)
    """

    full_state_update = False
    higher_is_better = False
    total: Tensor
    rows: Tensor

    def __init__(self, num_classes: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_classes = num_classes
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), "sum")
        self.add_state("rows", torch.tensor(0), "sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        truth = torch.nn.functional.one_hot(target, self.num_classes)
        self.total = self.total + (probabilities.double() - truth).square().sum()
        self.rows = self.rows + len(target)

    def compute(self) -> Tensor:
        """A scalar."""
        return (self.total / self.rows).float()
