"""The mask with the highest expected Dice, from the probabilities of its pixels."""

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


def check_installed() -> None:
    """Raises if `rankdice` cannot be used.

    Raises:
        ConfigError: `rankseg` is not installed.
    """
    load("rankseg", EXTRA, "decide=rankdice")
