"""Exact areas under curves for yes/no questions about whole images, from stored probabilities."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from tandem.metrics.bins import MISSING, by_channel


class Answers(Metric):
    """Base of metrics that store every probability: 5 bytes per image and question.

    For pixels use the binned metrics. A missing target (255) is left out. A
    probability that is nan makes the value nan.

    Shapes:
        probabilities: (N, C), float in [0, 1].
        target: (N, C); 0, 1 or 255.
    """

    full_state_update = False
    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        self.probabilities.append(probabilities)
        self.targets.append(target.to(torch.uint8))

    def compute(self) -> Tensor:
        """A scalar, or (C,)."""
        probabilities, targets = dim_zero_cat(self.probabilities), dim_zero_cat(self.targets)
        pairs = zip(probabilities.unbind(1), targets.unbind(1), strict=True)
        return by_channel(torch.stack([self._area(p[y != MISSING], y[y != MISSING] == 1) for p, y in pairs]))

    def _area(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """The same; nan if a probability is, since its rank is unknown."""
        value = self.area(probabilities, truth)
        return torch.full_like(value, torch.nan) if probabilities.isnan().any() else value

    def area(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """The value for one question.

        Args:
            probabilities: (M,).
            truth: (M,), bool.
        """
        raise NotImplementedError(f"{type(self).__name__} needs `area`")


def _from_high_to_low(probabilities: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(K,) number of positives and negatives at each distinct probability, highest first, float64."""
    values, place = torch.unique(probabilities, return_inverse=True)
    counts = [
        torch.zeros(len(values), dtype=torch.float64).index_add_(0, place.cpu(), side.double().cpu())
        for side in (truth, ~truth)
    ]
    return counts[0].flip(0), counts[1].flip(0)


class AnswerAUROC(Answers):
    """AUROC of each question: the probability that a positive has a higher score than a negative; ties count half.

    nan for a question whose answers are all yes or all no. Source: Hanley & McNeil, 1982.

    Example:
        >>> metric = AnswerAUROC()
        >>> metric.update(torch.tensor([[0.9], [0.4], [0.6], [0.1]]), torch.tensor([[1], [1], [0], [0]]))
        >>> metric.compute()
        tensor(0.7500)
    """

    higher_is_better = True

    def area(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """A scalar in [0, 1]."""
        positives, negatives = _from_high_to_low(probabilities, truth)
        below = negatives.sum() - negatives.cumsum(0)
        return ((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum())).float()


class AnswerAveragePrecision(Answers):
    """Average precision of each question: `sum_k (R_k - R_{k-1}) P_k` over the distinct probabilities from high to low.

    R and P are recall and precision if the k highest probabilities count as yes. nan without positives.

    Example:
        >>> metric = AnswerAveragePrecision()
        >>> metric.update(torch.tensor([[0.9], [0.4], [0.6], [0.1]]), torch.tensor([[1], [1], [0], [0]]))
        >>> metric.compute()
        tensor(0.8333)
    """

    higher_is_better = True

    def area(self, probabilities: Tensor, truth: Tensor) -> Tensor:
        """A scalar in [0, 1]."""
        positives, negatives = _from_high_to_low(probabilities, truth)
        hits = positives.cumsum(0)
        precision = hits / (hits + negatives.cumsum(0))
        return ((positives * precision).sum() / positives.sum()).float()
