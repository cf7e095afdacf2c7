"""95 % bootstrap bands over images of ROC, precision-recall and calibration curves."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tandem.evaluate.bootstrap import ratio
from tandem.evaluate.reliability import BINS
from tandem.utils.resampling import Array, BootstrapSamples, spread

MOST = 300
"""Samples of a band: each costs a whole curve, and its ends are not printed."""

AT = np.linspace(0, 1, 51)
"""False positive rates, and recalls, at which a band has its ends."""

SCORES = 200
"""Most different scores of a band."""

Lines = dict[str, list[float | None]]


def ranking_bands(hits: Array, false: Array, draws: BootstrapSamples) -> Lines:
    """Bands of sensitivity against false positive rate, and of precision against recall, at `AT`.

    Args:
        hits: (M, K) positives of each image that have each score, highest score first.
        false: (M, K) negatives.
        draws: of the images.

    Returns:
        `at`, `sensitivity.low`, `sensitivity.high`, `precision.low`, `precision.high`; None where not defined.
    """
    drawn: dict[str, list[Array]] = {"sensitivity": [], "precision": []}
    for weights in draws.at_most(MOST).weights():
        for above, wrong in zip((weights @ hits).cumsum(1), (weights @ false).cumsum(1), strict=True):
            if above[-1] == 0 or wrong[-1] == 0:
                continue
            recall = above / above[-1]
            drawn["sensitivity"].append(np.interp(AT, np.r_[0, wrong / wrong[-1]], np.r_[0, recall]))
            reached = np.minimum(np.searchsorted(recall, np.maximum(AT, 1e-9) - 1e-12), len(recall) - 1)
            drawn["precision"].append((above / np.maximum(above + wrong, 1e-300))[reached])
    return {"at": AT.tolist(), **dict(_ends(drawn, draws))}


def score_counts(scores: Array, positive: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Arguments of `ranking_bands` for one score of each image: (M, K) positives and negatives.

    Args:
        scores: (M,).
        positive: (M,).
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, SCORES), method="lower"))[::-1]
    place = np.searchsorted(-edges, -scores)
    counts = np.zeros((2, len(scores), len(edges)))
    counts[(~positive).astype(int), np.arange(len(scores)), np.minimum(place, len(edges) - 1)] = 1
    return counts[0], counts[1]


def reliability_bands(sums: Array, draws: BootstrapSamples) -> Lines:
    """Bands of the share of yes in each bin that is not empty.

    Args:
        sums: (M, 3, B) of each image and bin: answers, their probabilities, how many are yes.
        draws: of the images.

    Returns:
        `share.low` and `share.high`.
    """
    used = sums[:, 0].sum(0) > 0
    count, yes = sums[:, 0, used], sums[:, 2, used]
    drawn = [ratio(weights @ yes, weights @ count) for weights in draws.at_most(MOST).weights()]
    return dict(_ends({"share": list(np.concatenate(drawn))}, draws))


def answer_sums(probabilities: Array, yes: Array) -> Array:
    """(M, 3, B) argument of `reliability_bands` for one answer of each image; arguments as of `reliability`."""
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    sums = np.zeros((len(yes), 3, BINS))
    sums[np.arange(len(yes)), :, place] = np.stack([np.ones_like(probabilities), probabilities, yes], axis=1)
    return sums


def _ends(drawn: dict[str, list[Array]], draws: BootstrapSamples) -> Iterator[tuple[str, Any]]:
    for name, lines in drawn.items():
        if lines:
            for side, line in zip(("low", "high"), spread(np.stack(lines), draws.units), strict=True):
                yield f"{name}.{side}", [None if np.isnan(value) else round(value, 6) for value in line.tolist()]
