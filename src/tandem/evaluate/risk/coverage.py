r"""The risk-coverage curve and the areas under it, for any weights of the images.

Images are sorted by confidence. Coverage is the share of images that are kept, risk their mean loss (Geifman and
El-Yaniv, Selective classification for deep neural networks, 2017). With \(S_k\) the summed loss of the k most confident
of n images:

* AURC is the mean risk over all coverages, \(\frac1n \sum_k S_k / k\).
* Excess AURC is AURC minus that of an oracle that sorts by the loss itself (Geifman, Uziel and El-Yaniv, 2019).
* AUGRC is the mean loss that is left undetected, \(\frac1n \sum_k S_k / n\) (Traub et al., 2024). Unlike AURC, it does
  not give the few most confident images most of the weight.

Images of equal confidence are in no order: each value is the expectation over all orders of them, in which \(S_k\)
rises linearly. A sum over m of them has a closed form,
\(\sum_{j=1}^{m} \frac{S + j l}{C + j} = m l + (S - C l)(H_{C+m} - H_C)\), with the C images before, their loss S, the
mean loss l of the tied ones, and the harmonic numbers H.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tandem.evaluate.bootstrap import Array, ratio


class RiskCoverage:
    """Risk and coverage as functions of the weight of each image.

    Args:
        confidence: (M,) the higher, the later an image is handed over.
        loss: (M,) in [0, 1], 0 for a right answer.

    Example:
        >>> curve = RiskCoverage(np.array([0.9, 0.8, 0.7]), np.array([0.0, 0.0, 1.0]))
        >>> {name: round(float(value[0]), 3) for name, value in curve(np.ones((1, 3))).items()}
        {'aurc': 0.111, 'e_aurc': 0.0, 'augrc': 0.111}
    """

    def __init__(self, confidence: Array, loss: Array) -> None:
        self.loss = loss
        self.by_confidence = _blocks(confidence)
        self.by_loss = _blocks(-loss)

    def __call__(self, weights: Array) -> dict[str, Array]:
        """(R,) `aurc`, `e_aurc` and `augrc` for (R, M) weights, whole numbers."""
        found, general = self._areas(weights, self.by_confidence)
        best, _ = self._areas(weights, self.by_loss)
        return {"aurc": found, "e_aurc": found - best, "augrc": general}

    def risk_at(self, weights: Array, coverage: Sequence[float], oracle: bool = False) -> Array:
        """(R, K) mean loss of the kept images at each of K coverages above 0, for (R, M) weights.

        Args:
            weights: of the images.
            coverage: shares of the images that are kept.
            oracle: whether images are sorted by their loss instead of their confidence.
        """
        count, loss = self._sums(weights, self.by_loss if oracle else self.by_confidence)
        ends = np.concatenate([np.zeros((len(weights), 1)), count.cumsum(1)], axis=1)
        sums = np.concatenate([np.zeros((len(weights), 1)), loss.cumsum(1)], axis=1)
        shares = np.asarray(coverage)
        kept = np.stack(
            [np.interp(shares * end[-1], end, total) for end, total in zip(ends, sums, strict=True)]
        )  # linear within a block of equal confidence
        return ratio(kept, shares * ends[:, -1:])

    def _sums(self, weights: Array, blocks: "Blocks") -> tuple[Array, Array]:
        """(R, K) number of images and their loss in each block of equal values, the most confident first."""
        order, starts = blocks
        sorted_weights = weights[:, order]
        return (
            np.add.reduceat(sorted_weights, starts, axis=1),
            np.add.reduceat(sorted_weights * self.loss[order], starts, axis=1),
        )

    def _areas(self, weights: Array, blocks: "Blocks") -> tuple[Array, Array]:
        from scipy.special import digamma

        count, loss = self._sums(weights, blocks)
        mean = np.where(count > 0, loss / np.maximum(count, 1e-300), 0.0)
        before, lost = count.cumsum(1) - count, loss.cumsum(1) - loss
        rise = digamma(before + count + 1) - digamma(before + 1)
        total = weights.sum(1)
        area = (loss + (lost - before * mean) * rise).sum(1)
        general = (count * lost + mean * count * (count + 1) / 2).sum(1)
        return ratio(area, total), ratio(general, total**2)


Blocks = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Indices of the images in descending order of a value, and where each block of equal values begins."""


def _blocks(values: Array) -> Blocks:
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    return order, np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1]).astype(np.intp)
