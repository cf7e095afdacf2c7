"""Exact solvers on the Gramian of a few gradients, which several methods share."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


FLOAT32 = float(np.finfo(np.float32).eps)
"""Relative rounding error of gradients: a Gramian in float64 of float32 gradients knows no more than they do."""


def cosines_of(products: Matrix) -> Matrix:
    """(T, T) cosines between the gradients, whose eigenvalues do not depend on the gradients' lengths.

    Args:
        products: (T, T) Gramian with a positive diagonal.
    """
    lengths = np.sqrt(np.diag(products))
    return np.asarray(products / np.outer(lengths, lengths))


def rank(products: Matrix) -> int:
    """How many gradients are independent as far as float32 can tell: eigenvalues of the cosines above T eps.

    Gradients at an angle below about 5e-4 count as parallel. Lengths do not matter, so one that is 1e4 times as short
    as another still counts.

    Example:
        >>> rank(np.diag([1.0, 1e-8])), rank(np.array([[1.0, 6.557], [6.557, 42.994249]]))
        (2, 1)
    """
    return int((np.linalg.eigvalsh(cosines_of(products)) > len(products) * FLOAT32).sum())


def without_rounding(products: Matrix) -> Matrix:
    """The Gramian of exactly dependent gradients where they depend on each other but for rounding; else as it is.

    Without this, solvers take the rounding errors of parallel or opposite gradients for directions.
    """
    values, vectors = np.linalg.eigh(cosines_of(products))
    kept = values > len(products) * FLOAT32
    if kept.all():
        return products
    lengths = np.sqrt(np.diag(products))
    root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    root /= np.linalg.norm(root, axis=0)  # of length 1 again
    return np.asarray(np.outer(lengths, lengths) * (root.T @ root))


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
