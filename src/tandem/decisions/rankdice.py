"""The masks with the highest expected Dice, from the probabilities of their pixels."""

import torch.nn.functional as F
from torch import Tensor

from tandem.decisions.reached import reached
from tandem.utils.optional import load

EXTRA = "rankdice"


def rankdice(probabilities: Tensor, threshold: Tensor) -> Tensor:
    r"""Makes the mask of each image and channel that has the highest expected Dice, by the blind approximation.

    With independent pixels, the best mask of t pixels holds the t most probable ones. So the pixels are ranked, and t
    maximises \(\sum_{j \le t} E[2 p_j / (t + 1 + \Gamma)]\), with \(\Gamma\) the number of true pixels, whose
    distribution is that of a sum of Bernoulli variables (a refined normal approximation). In a sharp image this is
    close to a threshold of Dice / 2, which differs from image to image.

    The expected Dice does not say whether there is a lesion at all: 0 / 0 is not defined. That stays with the
    threshold: where no pixel reaches it, the mask is empty.

    Args:
        probabilities: (N, C, H, W) in [0, 1].
        threshold: (C,).

    Returns:
        (N, C, H, W) bool.

    Raises:
        ConfigError: `rankseg` is not installed.

    Source: Dai and Li, RankSEG: a consistent ranking-based framework for segmentation, JMLR 24 (224), 2023; computed by
    its authors' package `rankseg`.

    Example:
        >>> import torch
        >>> p = torch.tensor([[[[0.9, 0.45, 0.45, 0.1]]]])
        >>> rankdice(p, torch.tensor([0.5])).int().tolist()
        [[[[1, 1, 1, 0]]]]
    """
    solver = load("rankseg", EXTRA, "decide=rankdice").RankSEG(
        metric="dice", solver="BA", output_mode="multilabel", pruning_prob=0.0
    )
    p = probabilities.double().clamp(0, 1)  # resized maps may lie a rounding error outside
    best: Tensor = solver.predict(p)
    some = reached(probabilities, threshold).flatten(2).any(2)
    return best & some[..., None, None]


def rankdice_classes(probabilities: Tensor) -> Tensor:
    r"""Gives each pixel one class, so that the mean over the classes of their expected Dice is high.

    The mask of a class alone is the one that maximises \(\sum_{j \le t} 2 p_j / (t + 1 + \sum_k p_k)\), the reciprocal
    moment approximation of the expected Dice. A pixel in the masks of several classes, or of none, goes to the class
    whose approximate Dice gains most by it. Which masks without overlap are best is not computed.

    As with yes/no masks, the expected Dice does not say whether a class is there at all. That stays with the most
    probable class: a class that is so at no pixel of an image has none.

    Args:
        probabilities: (N, C, H, W), which sum to 1 over the classes, one of which is the background.

    Returns:
        (N, H, W) int64.

    Raises:
        ConfigError: `rankseg` is not installed.

    Source: Wang and Dai, RankSEG-RMA, NeurIPS 2025; computed by its authors' package `rankseg`.

    Example:
        >>> import torch
        >>> p = torch.tensor([[0.9, 0.8, 0.6, 0.4], [0.1, 0.2, 0.4, 0.6]])
        >>> rankdice_classes(p[None, :, None]).tolist(), p.argmax(0).tolist()
        ([[[0, 0, 1, 1]]], [0, 0, 0, 1])
    """
    solver = load("rankseg", EXTRA, "decide=rankdice").RankSEG(
        metric="dice", solver="RMA", output_mode="multiclass", pruning_prob=0.0
    )
    there = F.one_hot(probabilities.argmax(1), probabilities.shape[1]).flatten(1, -2).any(1)
    found: Tensor = solver.predict(probabilities.double().clamp(0, 1) * there[..., None, None])
    return found


def check_installed() -> None:
    """Raises if `rankdice` cannot be used.

    Raises:
        ConfigError: `rankseg` is not installed.
    """
    load("rankseg", EXTRA, "decide=rankdice")
