"""Exact solvers on the Gramian of a few gradients, which several methods share."""

import numpy as np

from tandem.balance.gradient_level import Matrix, Vector


def factor(products: Matrix) -> Matrix:
    """A root R of a Gramian, `R^T R = G`, with negative eigenvalues, which are rounding errors, set to 0.

    Args:
        products: (T, T), symmetric.

    Returns:
        (T, T): column t stands for gradient t, with all lengths and angles kept.
    """
    values, vectors = np.linalg.eigh(products)
    return np.asarray(np.sqrt(values.clip(0))[:, None] * vectors.T)


def nonnegative(matrix: Matrix, target: Vector) -> Vector:
    """`argmin_x |matrix x - target|` over `x >= 0` (Lawson and Hanson, 1974).

    Example:
        >>> nonnegative(np.eye(2), np.array([2.0, -1.0]))
        array([2., 0.])
    """
    from scipy.optimize import nnls

    return np.asarray(nnls(matrix, target)[0])
