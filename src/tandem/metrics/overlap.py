"""The formula of Dice, once: for numbers, numpy arrays and tensors alike."""

from typing import Any


def dice_parts(hits: Any, predicted: Any, actual: Any) -> tuple[Any, Any]:
    """Numerator and denominator of `Dice = 2 |P n T| / (|P| + |T|)`, which is also F1 = 2 TP / (2 TP + FP + FN).

    They are not divided here, since what an empty mask is worth is the caller's policy.

    Args:
        hits: predicted and true, TP.
        predicted: TP + FP.
        actual: TP + FN.

    Source: Dice, Measures of the Amount of Ecologic Association Between Species, 1945.

    Example:
        >>> dice_parts(hits=2, predicted=3, actual=5)
        (4, 8)
    """
    return 2 * hits, predicted + actual
