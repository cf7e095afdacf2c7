"""CAGrad: conflict-averse gradient descent (Liu et al., 2021)."""

import math
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.balance.gram import FLOAT32, factor
from tandem.errors import ConfigError


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
        cancelled = math.sqrt(len(weights) * FLOAT32) * float(found @ np.linalg.norm(root, axis=0))
        if length <= cancelled:  # no direction serves all tasks: the ball's centre is as good as any
            return weights
        return np.asarray(weights * (1 + radius / length * found))


def conflict_averse(root: Matrix, centre: Vector, radius: float) -> Vector:
    """`argmin_a <root a, centre> + radius |root a|` over `a >= 0`, sum 1, in closed form.

    The minimum lies inside a face of the simplex. On the flat through a face's corners, with h the distance of 0 and k
    the length of `centre` within the flat, the function is least at `h k / sqrt(radius^2 - k^2)` from the point nearest
    to 0, against `centre`; if `k >= radius` it has no minimum there. The best of the faces that contain their minimum
    is taken.

    Args:
        root: (D, T) with a gradient in each column.
        centre: (D,).
        radius: at least 0.

    Returns:
        (T,).

    Example:
        >>> conflict_averse(np.eye(2), np.array([1.0, 0.0]), 2.0).round(3)
        array([0.311, 0.689])
    """
    tasks = root.shape[1]
    best, least = np.full(tasks, 1 / tasks), math.inf
    for size in range(1, tasks + 1):
        for face in map(list, combinations(range(tasks), size)):
            inside = _least_on_flat(root[:, face], centre, radius)
            if inside is None or inside.min() < 0:
                continue
            point = root[:, face] @ inside
            value = float(point @ centre + radius * np.linalg.norm(point))
            if value < least:
                best, least = np.zeros(tasks), value
                best[face] = inside
    return np.asarray(best)


def _least_on_flat(corners: Matrix, centre: Vector, radius: float) -> Vector | None:
    """Coordinates that add up to 1, or None where there is no minimum or smaller faces hold the same points."""
    first, edges = corners[:, 0], corners[:, 1:] - corners[:, :1]
    if np.linalg.matrix_rank(edges) < edges.shape[1]:
        return None
    basis = np.linalg.qr(edges)[0]
    nearest = first - basis @ (basis.T @ first)
    along = basis.T @ centre
    k = float(np.linalg.norm(along))
    if k >= radius and edges.shape[1] > 0:
        return None
    away = np.linalg.norm(nearest) / np.sqrt(radius**2 - k**2) * along if k > 0 else along
    rest = np.linalg.lstsq(edges, nearest - basis @ away - first)[0]
    return np.concatenate([[1 - rest.sum()], rest])
