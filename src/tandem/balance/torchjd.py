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


class TorchJD(GradientBalance):
    """Any method of TorchJD that finds coefficients from the gradients' inner products and keeps no state.

    For methods that tandem does not have itself, FairGrad for instance, and for comparisons. tandem's own methods do
    not need TorchJD: they are exact, have no state and need no solver. Measured with version 0.18 on random gradients
    of length 2: its UPGrad is off by up to 3e-3 and its CAGrad by 1e-4, both after further installs; its MGDA by 0.1
    with three tasks; its Nash-MTL mostly right, at times in another direction, from a state that is not in checkpoints.

    Lengths are TorchJD's, mostly those of the tasks' mean. The fixed weights multiply the losses beforehand. Inner
    products are scaled to a trace of T: below 1e-4 TorchJD treats them as 0.

    Source: Quinton and Rey, 2024, "Jacobian descent for multi-objective optimization".

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.
        method: TorchJD's name for it, such as `FairGrad`.
        options: of the method.

    Raises:
        ConfigError: TorchJD, or a package that the method needs, is not installed; an unknown method or option; a
            method with a state, which no checkpoint would hold.
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

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """TorchJD's coefficients for the weighted losses' inner products."""
        found = self.find(torch.from_numpy(weights[:, None] * products * weights))
        return np.asarray(weights * found.numpy())
