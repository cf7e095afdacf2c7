"""Small exact optimisations over the coordinates of a few gradients."""

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def factor(products: Array) -> Array:
    """A root R of a Gramian, `R^T R = G`, with negative eigenvalues, which are rounding errors, set to 0.

    Args:
        products: (T, T), symmetric.

    Returns:
        (T, T): column t stands for gradient t, with all lengths and angles kept.
    """
    values, vectors = np.linalg.eigh(products)
    return np.asarray(np.sqrt(values.clip(0))[:, None] * vectors.T)


def nonnegative(matrix: Array, target: Array) -> Array:
    """`argmin_x |matrix x - target|` over `x >= 0` (Lawson and Hanson, 1974).

    Example:
        >>> nonnegative(np.eye(2), np.array([2.0, -1.0]))
        array([2., 0.])
    """
    from scipy.optimize import nnls

    return np.asarray(nnls(matrix, target)[0])


def shortest(products: Array) -> Array:
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


def conflict_averse(root: Array, centre: Array, radius: float) -> Array:
    """`argmin_a <root a, centre> + radius |root a|` over `a >= 0`, sum 1, in closed form.

    The minimum lies inside a face of the simplex. On the flat through a face's corners, with h the distance of 0 and k
    the length of `centre` within the flat, the function is least at `h k / sqrt(radius^2 - k^2)` from the point nearest
    to 0, against `centre`; if `k >= radius` it has no minimum there. Of the faces that hold theirs the best is taken.

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


def _least_on_flat(corners: Array, centre: Array, radius: float) -> Array | None:
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
