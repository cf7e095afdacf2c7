"""UPGrad: unconflicting projection of gradients (Quinton and Rey, 2024)."""

import numpy as np

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.balance.gram import factor, nonnegative


class UPGrad(GradientBalance):
    """Unconflicting projection: each gradient is projected onto the dual cone of all of them, then they are added up.

    `d = sum_t w_t pi(g_t)`, where `pi(x)` is the nearest vector to x with `<pi(x), g_s> >= 0` for every task s; so no
    task's loss rises, to first order. In coordinates it is a quadratic program, `min |J^T v|^2` over `v >= e_t`, which
    is solved exactly as non-negative least squares.

    The paper's `w_t` are 1 / T.

    Source: Quinton and Rey, 2024, "Jacobian descent for multi-objective optimization".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """One quadratic program a task."""
        root = factor(products)
        rows = [unit + nonnegative(root, -root @ unit) for unit in np.eye(len(weights))]
        return np.asarray(weights @ np.stack(rows))
