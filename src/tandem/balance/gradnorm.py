"""Task weights learned from gradient lengths and training rates."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.errors import ConfigError

LEAST = 1e-3
"""Lowest task weight: a weight of 0 could not grow again, a negative one would reverse the task."""


class GradNorm(GradientBalance):
    """Gradient normalisation: the lengths of the shared gradients follow how much each task's loss has fallen.

    With learned weights `m_t`, lengths `N_t = m_t |g_t|` and rates `r_t = (L_t / L_t(0)) / mean_s(L_s / L_s(0))`, each
    step descends on `sum_t |N_t - mean(N) r_t^alpha|` by the `m_t`, the target held constant:
    `m_t <- m_t - lr |g_t| / mean(N) sign(N_t - mean(N) r_t^alpha)`; then the `m_t` of the step's tasks are scaled back
    to the sum they had. The step is `sum_t w_t m_t g_t`, in heads as in the encoder; `m_t` is 1 at the start.

    Two choices are ours: the length is measured on all shared parameters rather than on one layer, and the descent is
    measured in units of the mean length, so that the size of the losses and half precision's scale do not change it.
    With gradient accumulation the `m_t` move with every batch.

    Source: Chen et al., 2018, "GradNorm: gradient normalization for adaptive loss balancing".

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.
        alpha: how strongly tasks that lag behind are favoured, at least 0; 0 makes all lengths equal.
        lr: step length of the `m_t`, at least 0.

    Raises:
        ConfigError: a negative `alpha` or `lr`.
    """

    multipliers: Tensor
    first: Tensor

    def __init__(
        self, weights: Mapping[str, float], tasks: tuple[str, ...], alpha: float = 1.5, lr: float = 0.025
    ) -> None:
        super().__init__(weights, tasks)
        for name, value in (("alpha", alpha), ("lr", lr)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value}, but must be a number of at least 0")
        self.alpha = alpha
        self.lr = lr
        self.register_buffer("multipliers", torch.ones(len(tasks)))
        self.register_buffer("first", torch.full((len(tasks),), torch.nan))  # each task's loss when it was first seen
        self.values: dict[str, Tensor] = {}  # each task's loss in the last batch that had a target for it

    def backward(
        self, loss: Tensor, losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter], accumulate: bool = False
    ) -> None:
        """Keep the losses for the rates, then combine the gradients."""
        for place, (name, value) in zip(self.places(losses), losses.items(), strict=True):
            self.values[name] = value.detach()
            self.first[place] = torch.where(self.first[place].isnan(), value.detach(), self.first[place])
        super().backward(loss, losses, parameters, accumulate)

    def own_weights(self, names: Sequence[str]) -> dict[str, float]:
        """`w_t m_t`."""
        found = self.multipliers[self.places(names)].tolist()
        return {name: self.weights[name] * value for name, value in zip(names, found, strict=True)}

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """`w_t m_t` with the `m_t` of before, which are then moved."""
        places = self.places(names)
        known = self.multipliers[places].double().cpu().numpy()
        lengths = np.sqrt(np.diag(products))
        mean = float((known * lengths).mean())
        signs = np.sign(known * lengths - mean * self._rates(names) ** self.alpha)
        moved = np.maximum(known - self.lr * lengths / mean * signs, LEAST)
        self.multipliers[places] = torch.as_tensor(moved * known.sum() / moved.sum()).to(self.multipliers)
        return np.asarray(weights * known)

    def _rates(self, names: Sequence[str]) -> Vector:
        """(T,) `r_t`; 1 for all where a loss began at 0 or diverged."""
        losses = torch.stack([self.values[name] for name in names])
        rates = (losses / self.first[self.places(names)]).clamp(min=0).double().cpu().numpy()
        found = rates / rates.mean() if rates.any() else rates
        return found if np.isfinite(found).all() else np.ones(len(names))
