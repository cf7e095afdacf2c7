"""What can be learnt from so few: how wide intervals will be, and which difference between two losses can be seen."""

import math

LEVEL, POWER = 0.05, 0.8

RECALL = 0.8
"""Recall of a class at which its interval is computed; it is widest at 0.5."""

DICE_SPREAD = 0.25
"""Standard deviation of Dice over lesion images, an assumption; in results/curated_busi, folds of 88 lesion images
deviate by 0.03, which is 0.27 an image."""

RUN_SPREAD = 0.02
"""Standard deviation of the difference in Dice of two losses over seeds and folds, an assumption; in
results/curated_busi, folds of one row deviate by 0.01 to 0.06."""


def wilson_width(recall: float, count: int) -> float:
    r"""Expected width of the 95 % Wilson interval of a share.

    `sum_k Binomial(k; n, p) width(k / n)`: the mean over the results that a test set of n images may have.

    Args:
        recall: the true share p.
        count: images of the class in the test set, n; nan without any.

    Example:
        >>> round(wilson_width(0.8, 20), 2), round(wilson_width(0.8, 200), 2)
        (0.33, 0.11)
    """
    if count < 1:
        return math.nan
    import numpy as np
    from scipy.stats import binom

    from tandem.utils.resampling import wilson

    hits = np.arange(count + 1)
    if count > 2000:  # the sum over the likely results alone
        middle, reach = recall * count, 6 * math.sqrt(recall * (1 - recall) * count) + 1
        hits = hits[max(0, int(middle - reach)) : int(middle + reach) + 1]
    chances = binom.pmf(hits, count, recall)
    widths = [float(np.diff(wilson(float(k) / count, count, 1 - LEVEL))[0]) for k in hits]
    return float(chances @ np.array(widths))


def mean_width(spread: float, count: int) -> float:
    """Width of the 95 % t interval of a mean, `2 t_{.975, n-1} s / sqrt(n)`; nan below two.

    Args:
        spread: standard deviation of single values, s.
        count: independent values, n.

    Example:
        >>> round(mean_width(0.25, 100), 3)
        0.099
    """
    if count < 2:
        return math.nan
    from scipy.stats import t

    return float(2 * t.ppf(1 - LEVEL / 2, count - 1) * spread / math.sqrt(count))


def seen_difference(spread: float, count: int, overlap: float = 0.0) -> float:
    r"""The smallest true difference that a paired t test at 5 % finds in 80 % of cases.

    The power at a difference d is that of a noncentral t with `n - 1` degrees of freedom and noncentrality
    `d / (s sqrt(1/n + overlap))` (Cohen, 1988); with `overlap`, of the corrected resampled test, see
    `tandem.study.statistics.paired`.

    Args:
        spread: standard deviation of the paired differences, s.
        count: number of pairs, n; nan below three.
        overlap: test images over training images where pairs are folds, else 0.

    Example:
        >>> round(seen_difference(0.02, 5), 3), round(seen_difference(0.15, 100), 3)
        (0.034, 0.042)
    """
    if count < 3:
        return math.nan
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    df = count - 1
    edge = float(t.ppf(1 - LEVEL / 2, df))

    def lacks(shift: float) -> float:
        return float(nct.sf(edge, df, shift)) - POWER

    return float(brentq(lacks, 0.1, 60.0)) * spread * math.sqrt(1 / count + overlap)
