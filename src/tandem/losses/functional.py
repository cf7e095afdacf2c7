"""The equations, element by element or cell by cell; no checks, no means.

Logits z, target y (0 or 1, or a class index), p = sigmoid(z) or softmax(z), p_t the probability of the right answer.
All logits are finite here: the callers blank those without a target.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tandem.losses.reduce import Overlap, masked_mean


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-y log p - (1 - y) log(1 - p), from logits.

    Args:
        logits: any shape.
        target: the same shape and dtype, 0 or 1.

    Returns:
        The same shape.
    """
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def sigmoid_focal(logits: Tensor, target: Tensor, gamma: float, alpha: float | None = None) -> Tensor:
    """-a_t (1 - p_t)^gamma log p_t, with p_t = p for positives, 1 - p for negatives.

    The power is taken in log space, (1 - p_t)^gamma = exp(gamma log(1 - p_t)), so that its gradient is finite for
    gamma < 1 even where p_t rounds to 1. With s = -z for positives and z for negatives, log(1 - p_t) = s - softplus(s),
    and softplus(s) is the cross-entropy: one logarithm for both.

    Args:
        logits: any shape.
        target: the same shape and dtype, 0 or 1.
        gamma: at least 0; 0 is the cross-entropy.
        alpha: a_t is alpha for positives and 1 - alpha for negatives; None: 1 for both.

    Returns:
        The same shape.

    Example:
        >>> one_pixel = torch.logit(torch.tensor([0.3]))
        >>> sigmoid_focal(one_pixel, torch.ones(1), gamma=2.0, alpha=0.25)
        tensor([0.1475])
    """
    cross_entropy = binary_cross_entropy(logits, target)
    log_wrong = logits * (1 - 2 * target) - cross_entropy
    focal = cross_entropy * torch.exp(gamma * log_wrong)
    return focal if alpha is None else focal * ((2 * alpha - 1) * target + (1 - alpha))


def softmax_focal(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """-(1 - p_t)^gamma log p_t, with p_t the softmax probability of the target's class.

    Args:
        logits: (N, C, *spatial).
        target: (N, *spatial), class indices.
        gamma: at least 0; 0 is the cross-entropy.

    Returns:
        (N, *spatial).
    """
    cross_entropy = F.cross_entropy(logits, target, reduction="none")
    # The floor is met only where p_t rounds to 1: there the power has no finite derivative for gamma < 1.
    wrong = (-torch.expm1(-cross_entropy)).clamp_min(torch.finfo(logits.dtype).tiny)
    return cross_entropy * wrong.pow(gamma)


def dice(cells: Overlap, smooth: float = 0.0) -> Tensor:
    """1 - (2 I + s) / (P + T + s), for cells with T > 0.

    Args:
        cells: the counts I, P, T.
        smooth: s, at least 0, in pixels.
    """
    return 1 - (2 * cells.intersection + smooth) / (cells.predicted + cells.actual + smooth)


def empty(cells: Overlap) -> Tensor:
    """log(1 + P) / log(1 + n): what a prediction costs where there is nothing to find (T = 0).

    An overlap with nothing is 0 whatever is predicted: Dice and its kin have no gradient there, and smoothing returns
    one only where P is about as small as the smoothing. This expression is 0 when nothing is predicted, 1 when
    everything is, and has the gradient 1 / ((1 + P) log(1 + n)) for each probability: in (0, 1 / log 2], positive
    everywhere. The total push on what is wrongly predicted is thus nearly the same for a small and a large false
    positive, and about as strong as that of Dice on an image with a lesion. A mean probability, P / n, would hardly
    mind a false positive of a lesion's size.

    Args:
        cells: the counts P and n.
    """
    return torch.log1p(cells.predicted) / torch.log1p(cells.pixels.clamp_min(1))


def overlap_mean(cells: Overlap, loss: Callable[[Overlap], Tensor]) -> Tensor:
    """Mean over the cells with valid pixels: a loss of overlap where there is foreground, `empty` where there is none.

    Args:
        cells: the counts.
        loss: an equation for cells with T >= 1, such as `dice`.

    Returns:
        A scalar; 0, connected to the graph, if no cell has a valid pixel.
    """
    foreground = cells.actual > 0
    # Both sides of a `where` are differentiated: T = 1 keeps the unused side free of 0 / 0.
    costs = torch.where(foreground, loss(cells._replace(actual=cells.actual.clamp_min(1))), empty(cells))
    return masked_mean(costs, cells.pixels > 0)
