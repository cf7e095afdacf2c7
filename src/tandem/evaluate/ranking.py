"""ROC and precision-recall curves and the areas under them, for any weights of the images."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tandem.evaluate.bootstrap import Array, ratio

DRAWN = 400
"""Maximum number of points kept of a curve."""


class Ranked(NamedTuple):
    """Rows sorted by decreasing score, with tied scores grouped.

    Attributes:
        order: (M,) indices of the rows, highest score first.
        starts: (K,) index at which each of the K groups of equal scores begins.
        positive: (M,) bool, in the same order.
        scores: (K,) score of each group.
    """

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    positive: npt.NDArray[np.bool_]
    scores: Array


def rank(scores: Array, positive: npt.NDArray[np.bool_]) -> Ranked:
    """Sorts M rows.

    Args:
        scores: (M,), M > 0.
        positive: (M,).
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1]).astype(np.intp)
    return Ranked(order, starts, positive[order], ranked[starts])


def areas(ranked: Ranked, weights: Array) -> tuple[Array, Array]:
    """(R,) AUROC (ties count half) and average precision for (R, M) weights; nan where they are not defined."""
    hits, false = _groups(ranked, weights)
    positives, negatives = hits.sum(1), false.sum(1)
    above = hits.cumsum(1)
    wins = (false * (above - hits / 2)).sum(1)
    auroc = ratio(wins, positives * negatives)
    precision = above / np.maximum(above + false.cumsum(1), 1e-300)
    return auroc, ratio((hits * precision).sum(1), positives)


def curves(hits: Array, false: Array, thresholds: Array) -> dict[str, list[float]]:
    """Points of the ROC and precision-recall curves, from counts at decreasing scores.

    Args:
        hits: (K,) number of positives with each score.
        false: (K,) number of negatives with each score.
        thresholds: (K,) the scores.

    Returns:
        `threshold`, `sensitivity` (recall), `false_positive_rate` and `precision`, at no more than `DRAWN` points.
    """
    above, wrong = hits.cumsum(), false.cumsum()
    lines = {
        "threshold": thresholds,
        "sensitivity": ratio(above, np.full_like(above, hits.sum())),
        "false_positive_rate": ratio(wrong, np.full_like(wrong, false.sum())),
        "precision": ratio(above, above + wrong),
    }
    kept = np.unique(np.linspace(0, len(hits) - 1, DRAWN).astype(int))
    return {name: [round(value, 6) for value in line[kept].tolist()] for name, line in lines.items()}


def curves_of(ranked: Ranked) -> dict[str, list[float]]:
    """Points of both curves with every row counted once; see `curves`."""
    hits, false = _groups(ranked, np.ones((1, len(ranked.order))))
    return curves(hits[0], false[0], ranked.scores)


def _groups(ranked: Ranked, weights: Array) -> tuple[Array, Array]:
    """(R, K) total weight of the positives and of the negatives in each group."""
    sorted_weights = weights[:, ranked.order]
    hits = np.add.reduceat(sorted_weights * ranked.positive, ranked.starts, axis=1)
    return hits, np.add.reduceat(sorted_weights, ranked.starts, axis=1) - hits
