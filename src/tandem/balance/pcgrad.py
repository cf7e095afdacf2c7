"""PCGrad: gradient surgery (Yu et al., 2020)."""

import numpy as np
import torch

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector


class PCGrad(GradientBalance):
    """Gradient surgery: components that oppose another task are removed from each gradient, then all are added up.

    For each task t, `d_t = g_t`; then for each other task s in random order, if `<d_t, g_s> < 0`,
    `d_t <- d_t - <d_t, g_s> / |g_s|^2 g_s`. The step is `sum_t w_t d_t`.

    Source: Yu et al., 2020, "Gradient surgery for multi-task learning".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The projections in coordinates of the gradients; the order is drawn on the CPU."""
        rows = np.eye(len(weights))
        for task, row in enumerate(rows):
            for other in torch.randperm(len(weights)).tolist():
                inner = products[other] @ row
                if other != task and inner < 0:
                    row[other] -= inner / products[other, other]
        return np.asarray(weights @ rows)
