"""Mean ranks of several choices over the same seeds and folds, and the difference that is beyond chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05


@dataclass(frozen=True)
class Ranks:
    r"""Friedman's test and Nemenyi's critical difference (Demsar, JMLR 2006).

    Attributes:
        mean: mean rank of each choice, 1 for the best; equal values share their mean rank.
        n: number of blocks (seeds and folds), each of which ranks all choices.
        p: of Friedman's test that all choices are equal; nan below three choices or two blocks.
        critical: mean ranks that differ by less are not told apart at the level of .05:
            \(q_{.05} \sqrt{k (k + 1) / (6 n)}\) for k choices; nan where `p` is.
    """

    mean: tuple[float, ...]
    n: int
    p: float
    critical: float

    def groups(self) -> list[tuple[int, int]]:
        """Longest stretches of the choices in the order of their ranks, of two at least, that are not told apart.

        Returns:
            First and last place of each stretch, in the order of the mean ranks.
        """
        ranks = sorted(self.mean)
        found: list[tuple[int, int]] = []
        for first in range(len(ranks)):
            last = max(
                place
                for place in range(first, len(ranks))
                if ranks[place] - ranks[first] < self.critical or place == first
            )
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return found


def rank(values: Sequence[Sequence[float]], higher: bool) -> Ranks:
    """Ranks choices within each block.

    Args:
        values: one row per block, one number per choice, all of them known.
        higher: whether more is better.

    Example:
        >>> rank([[0.8, 0.7, 0.6], [0.9, 0.5, 0.6]], higher=True).mean
        (1.0, 2.5, 2.5)
    """
    from scipy import stats

    table: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    blocks, choices = table.shape
    ranks = stats.rankdata(-table if higher else table, axis=1)
    if choices < 3 or blocks < 2:
        return Ranks(tuple(ranks.mean(axis=0).tolist()), blocks, math.nan, math.nan)
    equal = bool((ranks == ranks[:, :1]).all())  # scipy would divide by zero
    p = 1.0 if equal else float(stats.friedmanchisquare(*table.T).pvalue)
    quantile = float(stats.studentized_range.ppf(1 - LEVEL, choices, np.inf)) / math.sqrt(2)
    critical = quantile * math.sqrt(choices * (choices + 1) / (6 * blocks))
    return Ranks(tuple(ranks.mean(axis=0).tolist()), blocks, p, critical)
