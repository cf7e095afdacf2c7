"""IMTL-G: impartial multi-task learning (Liu et al., 2021)."""

import numpy as np

from tandem.balance.gradient_level import GradientBalance, Matrix, Vector
from tandem.balance.gram import FLOAT32, cosines_of


class IMTLG(GradientBalance):
    """Impartial multi-task learning: a direction whose projection onto every task's gradient is equally long.

    `c_t = T w_t a_t` with `<sum_s a_s g_s, g_t> / |g_t|` equal for all t and `sum_t a_t = 1`: `a_t` is proportional to
    `(C^+ 1)_t / |g_t|`, with C the cosines between the gradients. The paper's step has neither `T` nor `w_t`. For two
    tasks it halves the angle between them; with more, `a_t` may be negative, and large.

    Source: Liu et al., 2021, "Towards impartial multi-task learning".
    """

    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """The closed form; 0 where no such direction exists."""
        lengths = np.sqrt(np.diag(products))
        inverse = np.linalg.pinv(cosines_of(products), rcond=len(weights) * FLOAT32, hermitian=True)
        found = inverse.sum(axis=1) / lengths
        total = found.sum()
        if abs(total) < 1e-12 * (1 / lengths).sum():
            return np.zeros(len(weights))
        return np.asarray(len(weights) * weights * found / total)
