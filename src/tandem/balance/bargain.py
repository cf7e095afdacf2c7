"""Methods that seek one direction which serves every task: MGDA, IMTL-G, CAGrad and Nash-MTL."""

from collections.abc import Mapping

import numpy as np

from tandem.balance.cone import conflict_averse, factor, shortest
from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.errors import ConfigError


class MGDA(GradientBalance):
    """Multiple-gradient descent: the shortest vector in the convex hull of the gradients.

    `c_t = T w_t a_t` with `a = argmin |sum_t a_t g_t|^2` over `a >= 0`, `sum_t a_t = 1`, solved exactly; the paper's
    step has neither `T` nor `w_t`. With weights of 1 no task's loss rises, to first order. Short gradients get large
    weights, so the task that is nearly solved rules the step.

    Source: Désidéri, 2012; Sener and Koltun, 2018, "Multi-task learning as multi-objective optimization".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The shortest vector's coordinates, times the number of tasks and the fixed weights."""
        return np.asarray(len(weights) * weights * shortest(products))


class IMTLG(GradientBalance):
    """Impartial multi-task learning: a direction whose projection onto every task's gradient is equally long.

    `c_t = T w_t a_t` with `<sum_s a_s g_s, g_t> / |g_t|` equal for all t and `sum_t a_t = 1`: `a_t` is proportional to
    `(C^+ 1)_t / |g_t|`, with C the cosines between the gradients. The paper's step has neither `T` nor `w_t`. For two
    tasks it halves the angle between them; with more, `a_t` may be negative, and large.

    Source: Liu et al., 2021, "Towards impartial multi-task learning".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The closed form; 0 where no direction serves all."""
        lengths = np.sqrt(np.diag(products))
        cosines = products / np.outer(lengths, lengths)
        found = np.linalg.pinv(cosines, hermitian=True).sum(axis=1) / lengths
        total = found.sum()
        if abs(total) < 1e-12 * (1 / lengths).sum():
            return np.zeros(len(weights))
        return np.asarray(len(weights) * weights * found / total)


class NashMTL(GradientBalance):
    """The Nash bargaining solution: the direction with the largest product of the tasks' gains.

    `G a = w / a`, entry by entry, has one solution `a > 0`; `c = a sum_t w_t / sum_t a_t`. The paper leaves the length
    open (its code caps it at 1) and has `w_t = 1`. The direction does not change when a task's loss is multiplied by a
    number.

    `a` is the minimum of the convex `a^T G a / 2 - sum_t w_t log a_t` and is found by Newton's method to the last
    digits in every step; nothing is remembered.

    Source: Navon et al., 2022, "Multi-task learning as a bargaining game".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The bargain, scaled to weights that add up to those fixed."""
        found = bargain(products, weights)
        return np.asarray(found * weights.sum() / found.sum())


def bargain(products: Matrix, weights: Vector, steps: int = 100) -> Vector:
    """Solves `G a = w / a` for `a > 0` by damped Newton steps, which always converge: the function is self-concordant.

    It is solved for gradients of length 1. Where some oppose each other exactly there is no solution: `a` grows without
    bound in a direction in which they cancel; 1e-14 is added to the diagonal, so that it stops on the way there.

    Args:
        products: (T, T) Gramian with a positive diagonal.
        weights: (T,), above 0.
        steps: of Newton at most.

    Example:
        >>> bargain(np.diag([4.0, 1.0]), np.ones(2))
        array([0.5, 1. ])
    """
    lengths = np.sqrt(np.diag(products))
    cosines = products / np.outer(lengths, lengths) + 1e-14 * np.eye(len(lengths))
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


class CAGrad(GradientBalance):
    """Conflict-averse gradient: near the sum of all gradients, the direction best for the task that gains least.

    `d = argmax min_t <w_t g_t, d>` over `|d - g_0| <= c |g_0|` with `g_0 = sum_t w_t g_t`. Its dual is solved: with
    `g_a = sum_t a_t w_t g_t`, `min <g_a, g_0> + c |g_0| |g_a|` over `a >= 0`, `sum_t a_t = 1`; then
    `d = g_0 + c |g_0| / |g_a| g_a`. `c = 0` is the weighted sum. The paper's `g_0` is the mean of the tasks.

    Source: Liu et al., 2021, "Conflict-averse gradient descent for multi-task learning".

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.
        c: radius of the ball in units of `|g_0|`, in [0, 1).

    Raises:
        ConfigError: a radius out of range.
    """

    def __init__(self, weights: Mapping[str, float], tasks: tuple[str, ...], c: float = 0.5) -> None:
        super().__init__(weights, tasks)
        if not 0 <= c < 1:
            raise ConfigError(f"c is {c}, but must lie in [0, 1)")
        self.c = c

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The dual's solution put into coordinates."""
        weighted = weights[:, None] * products * weights
        root = factor(weighted)
        mean = root.sum(axis=1)
        radius = self.c * float(np.linalg.norm(mean))
        found = conflict_averse(root, mean, radius)
        length = float(np.linalg.norm(root @ found))
        if length <= 1e-12:  # the tasks agree on no direction: the ball's centre is as good as any
            return weights
        return np.asarray(weights * (1 + radius / length * found))
