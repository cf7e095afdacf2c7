"""Losses for numbers; see `RegressionLoss` for the shapes."""

from math import inf

from torch import Tensor
from torch.nn import functional as F

from tandem.losses.contract import RegressionLoss
from tandem.losses.validation import inside


class MSE(RegressionLoss):
    """Mean squared error: the mean of (z - y)^2 over the known numbers.

    z: prediction. y: target. Large errors dominate, so one wrong target may. Shapes and errors: `RegressionLoss`.

    Source: Gauss, Theoria combinationis observationum, 1821 (least squares).

    Example:
        >>> import torch
        >>> MSE()(torch.tensor([[3.0], [7.0]]), torch.tensor([[1.0], [torch.nan]]))
        tensor(4.)
    """

    def element(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(z - y)^2."""
        return F.mse_loss(prediction, target, reduction="none")


class MAE(RegressionLoss):
    """Mean absolute error: the mean of |z - y| over the known numbers.

    z: prediction. y: target. All errors have the same gradient, so wrong targets do not dominate; the optimum is the
    median. Shapes and errors: `RegressionLoss`.

    Source: Laplace, Sur quelques points du systeme du monde, 1789 (least absolute deviations).

    Example:
        >>> import torch
        >>> MAE()(torch.tensor([[3.0], [7.0]]), torch.tensor([[1.0], [torch.nan]]))
        tensor(2.)
    """

    def element(self, prediction: Tensor, target: Tensor) -> Tensor:
        """|z - y|."""
        return F.l1_loss(prediction, target, reduction="none")


class Huber(RegressionLoss):
    """Huber loss: the mean over the known numbers of d^2 / 2 where d <= delta, and delta (d - delta / 2) beyond.

    d: |z - y|. z: prediction. y: target. Small errors are squared and large ones are not: `MSE` / 2 for a large delta,
    delta * `MAE` for a small one. Shapes and errors: `RegressionLoss`.

    Source: Huber, Robust Estimation of a Location Parameter, 1964.

    Args:
        delta: error at which the quadratic part becomes linear, above 0, in the units of the target.

    Example:
        >>> import torch
        >>> Huber(delta=1)(torch.tensor([[1.5], [3.0]]), torch.tensor([[1.0], [1.0]]))
        tensor(0.8125)
    """

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = inside("delta", delta, 0.0, inf, {0.0: "give every error the loss 0"}, "1 is usual")

    def element(self, prediction: Tensor, target: Tensor) -> Tensor:
        """d^2 / 2, or delta (d - delta / 2)."""
        return F.huber_loss(prediction, target, reduction="none", delta=self.delta)
