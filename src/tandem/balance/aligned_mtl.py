"""Aligned-MTL: independent component alignment (Senushkin et al., 2023)."""

import numpy as np

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.balance.gram import rank


class AlignedMTL(GradientBalance):
    """Independent component alignment: the gradients are replaced by the nearest orthogonal ones of equal length.

    With `G = V diag(lambda) V^T` over its nonzero eigenvalues, the step is `sum_t c_t g_t` with
    `c = sqrt(lambda_min) V diag(lambda)^(-1/2) V^T w`. All principal components are as long as the shortest, so the
    step is short where tasks nearly agree or one gradient is small. Gradients that are parallel but for the rounding of
    float32 have one component (`tandem.balance.gram.rank`).

    Source: Senushkin et al., 2023, "Independent component alignment for multi-task learning".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The balance transformation, applied to the fixed weights."""
        values, vectors = np.linalg.eigh(products)
        first = len(values) - rank(products)
        values, vectors = values[first:], vectors[:, first:]
        return np.asarray(np.sqrt(values.min()) * vectors @ ((vectors.T @ weights) / np.sqrt(values)))
