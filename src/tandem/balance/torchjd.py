"""TorchJD's own methods."""

from collections.abc import Mapping

import numpy as np
import torch

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.utils.optional import load

ENDING = "Weighting"
"""Ending of the names of TorchJD's classes that compute coefficients from inner products."""

SMALLEST = 1e-3
"""A power below this is the error of a solver: the coefficients do not depend on the scale."""


class TorchJD(GradientBalance):
    """Any method of TorchJD that finds coefficients from the gradients' inner products and keeps no state.

    For methods that tandem does not have itself, FairGrad for instance, and for comparisons. tandem's own methods do
    not need TorchJD: they are exact, have no state and need no solver. Measured with version 0.18 on random gradients
    of length 2: its UPGrad is off by up to 3e-3 and its CAGrad by 1e-4, both after further installs; its MGDA by 0.1
    with three tasks; its Nash-MTL mostly right, at times in another direction, from a state that is not in checkpoints.

    Lengths are TorchJD's, mostly those of the tasks' mean. The fixed weights multiply the losses beforehand. TorchJD
    sees inner products scaled to a trace of T, since it treats them as 0 below 1e-4; where its coefficients depend on
    the scale, as FairGrad's do with `G^(-alpha / (1 + alpha))`, they are scaled back. The power is found by a trial
    when the balance is made. The factors of gradient accumulation and of half precision are no part of the scale.

    Source: Quinton and Rey, 2024, "Jacobian descent for multi-objective optimization".

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.
        method: TorchJD's name for it, such as `FairGrad`.
        options: of the method.

    Raises:
        ConfigError: TorchJD, or a package that the method needs, is not installed; an unknown method or option; a
            method with a state, which no checkpoint would hold; a method that cannot combine so many tasks.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        tasks: tuple[str, ...],
        method: str,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(weights, tasks)
        stateful = load("torchjd", "balance", "the balance TorchJD").Stateful
        aggregation = load("torchjd.aggregation", "balance", "the balance TorchJD")
        known = [key.removesuffix(ENDING) for key in aggregation.__all__ if key.endswith(ENDING) and key != ENDING]
        if method not in known:
            raise ConfigError(f"method '{method}' is not a weighting of TorchJD: {nearest(method, known)}")
        kind = getattr(aggregation, f"{method}{ENDING}")
        if issubclass(kind, stateful):
            raise ConfigError(f"method {method} has a state that is not in checkpoints; choose another method")
        try:
            self.find = kind(**(options or {}))
        except (ImportError, TypeError, ValueError) as error:
            raise ConfigError(f"method {method}: {' '.join(str(error).split())}") from error
        self.method = method
        self.degree = self._try(max(2, sum(weight > 0 for weight in self.weights.values())))

    def _try(self, tasks: int) -> float:
        """The power of the scale of the inner products that the coefficients have; draws no random number.

        Raises:
            ConfigError: the method cannot combine so many tasks.
        """
        trial = np.eye(tasks) * np.linspace(1, 2, tasks) + 0.1
        totals = []
        for scale in (1.0, 4.0):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                totals.append(float(np.abs(self._found(scale * trial)).sum()))
        if not min(totals) > 0:
            return 0.0
        degree = float(np.log(totals[1] / totals[0]) / np.log(4))
        return degree if abs(degree) > SMALLEST else 0.0

    def _found(self, products: Matrix) -> Vector:
        """TorchJD's coefficients.

        Raises:
            ConfigError: the method cannot combine so many tasks.
        """
        try:
            return np.asarray(self.find(torch.from_numpy(products)).numpy())
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"method {self.method} cannot combine {len(products)} tasks: {reason}") from error

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """TorchJD's coefficients for the weighted losses' inner products."""
        found = self._found(weights[:, None] * products * weights)
        return np.asarray(weights * found * self.scale**self.degree)
