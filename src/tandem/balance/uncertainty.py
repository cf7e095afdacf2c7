"""Task weights learned as uncertainties."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from tandem.balance.balance import Balance


class Uncertainty(Balance):
    """Homoscedastic uncertainty, `L = sum_t w_t (exp(-s_t) L_t + s_t / 2)` with learned `s_t = log sigma_t^2`.

    The optimum is `s_t = log(2 L_t)`: a task's weight is the inverse of twice its loss, so that units cancel. Kendall
    et al. derive `L_t / sigma_t^2` for classification and `L_t / (2 sigma_t^2)` for regression. The two are one method:
    moving `s_t` by log 2 turns one into the other, a constant apart. Here every kind of task has the first form, with
    `s_t = 0` at the start, which is `fixed`'s gradient.

    Each log-variance is a parameter without dimensions: it has no weight decay, and without a target its gradient is
    None, so that an absent task's weight does not change.

    Source: Kendall, Gal and Cipolla, 2018, "Multi-task learning using uncertainty to weigh losses".

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.

    Example:
        >>> balance = Uncertainty({"a": 1.0, "b": 1.0}, ("a", "b"))
        >>> balance({"a": torch.tensor(2.0), "b": torch.tensor(0.5)}).item()
        2.5
    """

    def __init__(self, weights: Mapping[str, float], tasks: tuple[str, ...]) -> None:
        super().__init__(weights, tasks)
        for name in tasks:
            self.register_parameter(f"log_variance_{name}", nn.Parameter(torch.zeros(())))

    def combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum over the tasks of a step."""
        logs = {name: cast("Tensor", getattr(self, f"log_variance_{name}")) for name in losses}
        self.effective = {name: self.weights[name] * torch.exp(-log.detach()) for name, log in logs.items()}
        terms = [self.weights[name] * (torch.exp(-logs[name]) * loss + logs[name] / 2) for name, loss in losses.items()]
        return sum(terms[1:], start=terms[0])
