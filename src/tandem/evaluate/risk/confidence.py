"""How sure a network is of its answer about an image: one number, computed from its probabilities alone."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.evaluate.bootstrap import Array

QUALITY = {"skip": "Dice per lesion image", "score": "Dice per image"}
"""What 1 minus the mean loss of masks is, by the run's policy for images without lesion."""

EXPECTED = "the Dice that the probabilities lead to expect, 2 sum(p b) / (sum(p) + sum(b)) for the predicted mask b; "

MEASURED = {
    "skip": f"{EXPECTED}0 if it is empty. Images without lesion have no Dice and do not count",
    "score": f"{EXPECTED}if it is empty, 1 minus the largest probability. An image without lesion counts 1 if its "
    "mask is empty, else 0",
}
"""What confidence is, in words."""


def answer_confidence(p: Array, threshold: float) -> Array:
    """(M,) distance of a probability of yes from its threshold, as a share of the largest possible one, in [0, 1].

    Args:
        p: (M,) probabilities.
        threshold: from which the answer is yes.

    Example:
        >>> answer_confidence(np.array([1.0, 0.6, 0.2, 0.0]), 0.2).round(2).tolist()
        [1.0, 0.5, 0.0, 1.0]
    """
    above, below = (p - threshold) / max(1 - threshold, 1e-12), (threshold - p) / max(threshold, 1e-12)
    return np.clip(np.where(p >= threshold, above, below), 0.0, 1.0)


def mask_confidence(p: Array, drawn: npt.NDArray[np.bool_], empty: str) -> float:
    r"""Expected Dice of a predicted mask if the probabilities are right, \(2 \sum p b / (\sum p + \sum b)\).

    This is the ratio of the expectations, a close estimate of the expectation of the ratio for large masks.

    Args:
        p: (K,) probabilities of the known pixels.
        drawn: (K,) the predicted mask.
        empty: how the run counts images without lesion. With `score`, an empty predicted mask is right if there is no
            lesion, and its confidence is `1 - max(p)`; with `skip`, Dice needs a lesion and its confidence is 0.

    Example:
        >>> round(mask_confidence(np.array([0.9, 0.6, 0.1]), np.array([True, True, False]), "skip"), 3)
        0.833
    """
    if not drawn.any():
        return 1.0 - float(p.max(initial=0.0)) if empty == "score" else 0.0
    return float(2 * p[drawn].sum() / (p.sum() + drawn.sum()))


def mask_confidences(p: Tensor, drawn: npt.NDArray[np.bool_], target: Tensor, empty: str) -> list[float]:
    """`mask_confidence` of each image of a batch.

    Args:
        p: (N, H, W) probabilities.
        drawn: (N, H, W) predicted masks.
        target: (N, H, W) true masks, of which only the unlabelled pixels (255) are used: they are left out.
        empty: see `mask_confidence`.
    """
    known = (target != MISSING_PIXEL).cpu().numpy()
    values = p.detach().cpu().double().numpy()
    return [mask_confidence(one[seen], mask[seen], empty) for one, mask, seen in zip(values, drawn, known, strict=True)]
