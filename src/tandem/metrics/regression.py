"""Errors of predicted numbers, added up in float64."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanError(Metric):
    """Base of means of an error over the known numbers; nan without any, or if a prediction is nan.

    Shapes:
        predicted: (N, ...), float.
        target: the same shape, nan where unknown.
    """

    full_state_update = False
    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), "sum")
        self.add_state("count", torch.tensor(0), "sum")

    def error(self, difference: Tensor) -> Tensor:
        """The error of each number, from predicted less true, float64."""
        raise NotImplementedError(f"{type(self).__name__} needs `error`")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        known = ~target.isnan()
        error = self.error(predicted.double() - target.double())
        self.total = self.total + torch.where(known, error, 0.0).sum()
        self.count = self.count + known.sum()

    def compute(self) -> Tensor:
        """A scalar."""
        return (self.total / self.count).float()


class MeanAbsoluteError(MeanError):
    """Mean absolute error `1/N sum |p - y|`, in the target's unit.

    Example:
        >>> metric = MeanAbsoluteError()
        >>> metric.update(torch.tensor([2015.0, 2016.0]), torch.tensor([2014.0, 2016.0]))
        >>> metric.compute()
        tensor(0.5000)
    """

    def error(self, difference: Tensor) -> Tensor:
        """`|p - y|`."""
        return difference.abs()


class MeanSquaredError(MeanError):
    """Mean squared error `1/N sum (p - y)^2`, or its root in the target's unit.

    Args:
        squared: whether the root is not taken.

    Example:
        >>> metric = MeanSquaredError(squared=False)
        >>> metric.update(torch.tensor([2015.0, 2019.0]), torch.tensor([2014.0, 2012.0]))
        >>> metric.compute()
        tensor(5.)
    """

    def __init__(self, squared: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.squared = squared

    def error(self, difference: Tensor) -> Tensor:
        """`(p - y)^2`."""
        return difference.square()

    def compute(self) -> Tensor:
        """A scalar."""
        mean = self.total / self.count
        return (mean if self.squared else mean.sqrt()).float()


class R2(Metric):
    """Coefficient of determination, `1 - sum (p - y)^2 / sum (y - mean y)^2`; of several columns, their mean.

    At most 1; 0 for a constant prediction of the mean, below 0 for worse ones. nan below two rows, where all targets
    are equal, or if a prediction is nan. Each batch is centred on its own mean and the moments are merged, so that
    targets far from 0, such as years, lose no digits. Memory does not grow with the rows.

    Shapes:
        predicted: (N,) or (N, C, ...), float.
        target: the same shape, nan where unknown.

    Source: Chan, Golub and LeVeque, 1979, "Updating formulae and a pairwise algorithm for computing sample variances".

    Example:
        >>> metric = R2()
        >>> metric.update(torch.tensor([[2013.0], [2015.0], [2016.0]]), torch.tensor([[2013.0], [2015.0], [2017.0]]))
        >>> metric.compute()
        tensor(0.8750)
    """

    full_state_update = False
    higher_is_better = True
    moments: Tensor
    PARTS: ClassVar[int] = 6

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.for_channels(1)

    def for_channels(self, channels: int) -> None:
        """Reset the state for this number of columns, which the task sets."""
        start = torch.tensor([0.0, 0.0, 0.0, 0.0, torch.inf, -torch.inf], dtype=torch.float64)
        self.add_state("moments", start.repeat(channels, 1), merged)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Adds a batch."""
        columns = len(self.moments)
        p, y = (
            part.double().reshape(len(part), columns, -1).transpose(0, 1).flatten(1) for part in (predicted, target)
        )
        if y.shape[1] == 0:
            return
        known = ~y.isnan()
        count = known.sum(1).double()
        mean = torch.where(known, y, 0.0).sum(1) / count.clamp(min=1)
        spread, error = (torch.where(known, part, 0.0).square().sum(1) for part in (y - mean[:, None], p - y))
        low, high = torch.where(known, y, torch.inf).amin(1), torch.where(known, y, -torch.inf).amax(1)
        batch = torch.stack([count, mean, spread, error, low, high], dim=1)
        self.moments = merged(torch.stack([self.moments, batch]))

    def compute(self) -> Tensor:
        """A scalar."""
        count, _, spread, error, low, high = self.moments.unbind(1)
        defined = (count > 1) & (high > low)
        return torch.where(defined, 1 - error / spread, torch.nan).mean().float()


def merged(moments: Tensor) -> Tensor:
    """The moments of several parts as those of the whole: `M = sum_i M_i + n_i (m_i - m)^2`.

    Args:
        moments: (P, C, 6) of each part and column: rows, mean, sum of squares about the mean, sum of squared errors,
            lowest and highest target.

    Returns:
        (C, 6).
    """
    count, mean, spread, error, low, high = moments.unbind(2)
    rows = count.sum(0)
    first = mean[0]  # differences are small numbers even far from 0
    whole = first + ((mean - first) * count).sum(0) / rows.clamp(min=1)
    spread = (spread + count * (mean - whole).square()).sum(0)
    return torch.stack([rows, whole, spread, error.sum(0), low.amin(0), high.amax(0)], dim=1)
