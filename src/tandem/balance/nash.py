"""Nash-MTL: multi-task learning as a bargaining game (Navon et al., 2022)."""

import numpy as np

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.balance.gram import cosines_of


class NashMTL(GradientBalance):
    """The Nash bargaining solution: the direction with the largest product of the tasks' gains.

    `G a = w / a`, entry by entry, has one solution `a > 0`; `c = a sum_t w_t / sum_t a_t`. The paper leaves the length
    open (its code caps it at 1) and has `w_t = 1`. The direction does not change when a task's loss is multiplied by a
    number.

    `a` is the minimum of the convex `a^T G a / 2 - sum_t w_t log a_t` and is found by Newton's method to machine
    precision in every step; there is no state.

    Source: Navon et al., 2022, "Multi-task learning as a bargaining game".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The solution, scaled to the sum of the fixed weights."""
        found = bargain(products, weights)
        return np.asarray(found * weights.sum() / found.sum())


def bargain(products: Matrix, weights: Vector, steps: int = 100) -> Vector:
    """Solve `G a = w / a` for `a > 0` by damped Newton steps, which always converge: the function is self-concordant.

    The gradients are scaled to length 1. Where some oppose each other exactly there is no solution: `a` grows without
    bound in a direction in which they cancel; 1e-14 is added to the diagonal to stop that.

    Args:
        products: (T, T) Gramian with a positive diagonal.
        weights: (T,), above 0.
        steps: most Newton steps.

    Example:
        >>> bargain(np.diag([4.0, 1.0]), np.ones(2))
        array([0.5, 1. ])
    """
    lengths = np.sqrt(np.diag(products))
    cosines = cosines_of(products) + 1e-14 * np.eye(len(lengths))
    found = np.sqrt(weights)
    concordance = np.sqrt(weights.min())  # the decrement is measured in units in which every log has a factor of 1
    for _ in range(steps):
        gradient = cosines @ found - weights / found
        step = np.linalg.solve(cosines + np.diag(weights / found**2), gradient)
        decrement = np.sqrt(max(float(gradient @ step), 0.0)) / concordance
        found = found - step / (1 + decrement if decrement > 0.25 else 1.0)
        if decrement < 1e-8:  # and so the next one below 1e-15
            break
    return np.asarray(found / lengths)
