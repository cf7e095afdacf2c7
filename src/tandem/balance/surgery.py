"""Methods that take conflict out of the tasks' gradients: PCGrad, UPGrad and Aligned-MTL."""

import numpy as np
import torch

from tandem.balance.cone import factor, nonnegative
from tandem.balance.gradient_level import GradientBalance, Matrix, Vector


class PCGrad(GradientBalance):
    """Gradient surgery: from each task's gradient, what opposes another's is cut off; the results are added up.

    For each task t, `d_t = g_t`; then for each other task s in random order, if `<d_t, g_s> < 0`,
    `d_t <- d_t - <d_t, g_s> / |g_s|^2 g_s`. The step is `sum_t w_t d_t`.

    Source: Yu et al., 2020, "Gradient surgery for multi-task learning".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """Cuts in coordinates of the gradients; the order is drawn on the CPU."""
        rows = np.eye(len(weights))
        for task, row in enumerate(rows):
            for other in torch.randperm(len(weights)).tolist():
                inner = products[other] @ row
                if other != task and inner < 0:
                    row[other] -= inner / products[other, other]
        return np.asarray(weights @ rows)


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


class AlignedMTL(GradientBalance):
    """Independent component alignment: the gradients are replaced by the nearest orthogonal ones of equal length.

    With `G = V diag(lambda) V^T` over its nonzero eigenvalues, the step is `sum_t c_t g_t` with
    `c = sqrt(lambda_min) V diag(lambda)^(-1/2) V^T w`. All principal components are as long as the shortest, so the
    step is short where tasks nearly agree or one gradient is small.

    Source: Senushkin et al., 2023, "Independent component alignment for multi-task learning".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The balance transformation, applied to the fixed weights."""
        values, vectors = np.linalg.eigh(products)
        kept = values > values.max() * len(values) * np.finfo(np.float64).eps
        values, vectors = values[kept], vectors[:, kept]
        return np.asarray(np.sqrt(values.min()) * vectors @ ((vectors.T @ weights) / np.sqrt(values)))
