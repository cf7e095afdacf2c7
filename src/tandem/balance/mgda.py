"""MGDA: multiple-gradient descent (Désidéri, 2012)."""

import numpy as np

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.balance.gram import factor, nonnegative


class MGDA(GradientBalance):
    """Multiple-gradient descent: the shortest vector in the convex hull of the gradients.

    `c_t = T w_t a_t` with `a = argmin |sum_t a_t g_t|^2` over `a >= 0`, `sum_t a_t = 1`, solved exactly; the paper's
    step has neither `T` nor `w_t`. With weights of 1 no task's loss rises, to first order. Short gradients get large
    weights, so the task that is nearly solved dominates the step.

    Source: Désidéri, 2012; Sener and Koltun, 2018, "Multi-task learning as multi-objective optimization".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The shortest vector's coordinates, times the number of tasks and the fixed weights."""
        return np.asarray(len(weights) * weights * shortest(products))


def shortest(products: Matrix) -> Vector:
    """Coordinates of the shortest vector in the convex hull of the gradients: `argmin_a a^T G a`, `a >= 0`, sum 1.

    Non-negative least squares of `|R x|^2 + (1 - sum x)^2` gives it up to a factor: for x = s a, the best s leaves
    `q / (1 + q)` with `q = a^T G a`, which is least where q is.

    Args:
        products: (T, T) Gramian.

    Returns:
        (T,).

    Example:
        >>> shortest(np.diag([1.0, 3.0]))
        array([0.75, 0.25])
    """
    tasks = len(products)
    system = np.vstack([factor(products), np.ones((1, tasks))])
    found = nonnegative(system, np.append(np.zeros(tasks), 1.0))
    return np.asarray(found / found.sum())
