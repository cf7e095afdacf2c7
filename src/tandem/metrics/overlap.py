"""The Dice formula, for numbers, numpy arrays and tensors."""

from typing import Any


def dice_parts(hits: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
    """Numerator and denominator of `Dice = 2 |P n T| / (|P| + |T|)`, which is also F1 = 2 TP / (2 TP + FP + FN).

    The caller divides, because the score of an empty mask (0 / 0) is the caller's policy.

    Args:
        hits: number of true positives, TP.
        predicted: number of predicted positives, TP + FP.
        actual: number of true pixels or rows, TP + FN.

    Source: Dice, Measures of the Amount of Ecologic Association Between Species, 1945.

    Example:
        >>> dice_parts(hits=2, predicted=3, actual=5)
        (4, 8)
    """
    return 2 * hits, predicted + actual
