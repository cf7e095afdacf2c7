"""The equations, element by element or cell by cell; no checks, no means.

Logits z, target y (0 or 1, or a class index), p = sigmoid(z) or softmax(z), p_t the probability of the right answer.
All logits are finite here: the callers blank those without a target.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tandem.losses.reduce import Overlap, masked_mean, pooled

_SORTED = 2**17  # pixels sorted at a time: what sorting needs is several times as large


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-y log p - (1 - y) log(1 - p), from logits.

    Args:
        logits: any shape.
        target: the same shape and dtype, in [0, 1].

    Returns:
        The same shape.
    """
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def power(base: Tensor, exponent: float) -> Tensor:
    """base^exponent for base >= 0, with the gradient 0 where the base is 0 (below 1 it would be infinite).

    Args:
        base: any shape; what rounding has made negative counts as 0.
        exponent: at least 0.
    """
    if exponent == 1:
        return base
    return base.clamp_min(torch.finfo(base.dtype).tiny).pow(exponent)


def weigh(values: Tensor, target: Tensor, alpha: float | Tensor) -> Tensor:
    """The values times alpha where the target is 1, and times 1 - alpha where it is 0."""
    return values * ((2 * alpha - 1) * target + (1 - alpha))


def sigmoid_focal(logits: Tensor, target: Tensor, gamma: float | Tensor, alpha: float | None = None) -> Tensor:
    """-a_t (1 - p_t)^gamma log p_t, with p_t = p for positives, 1 - p for negatives.

    The power is taken in log space, (1 - p_t)^gamma = exp(gamma log(1 - p_t)), so that its gradient is finite for
    gamma < 1 even where p_t rounds to 1. With s = -z for positives and z for negatives, log(1 - p_t) = s - softplus(s),
    and softplus(s) is the cross-entropy: one logarithm for both.

    Args:
        logits: any shape.
        target: the same shape and dtype, 0 or 1.
        gamma: at least 0; 0 is the cross-entropy. A tensor: one for each element.
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
    return focal if alpha is None else weigh(focal, target, alpha)


def quality_focal(logits: Tensor, target: Tensor, gamma: float, alpha: float | None = None) -> Tensor:
    """-a |y - p|^gamma (y log p + (1 - y) log(1 - p)) for soft targets; for y = 0 and 1 it is `sigmoid_focal`.

    Args:
        logits: any shape.
        target: the same shape and dtype, in [0, 1].
        gamma: at least 0; 0 is the cross-entropy.
        alpha: a is alpha y + (1 - alpha) (1 - y); None: 1.

    Returns:
        The same shape.

    Example:
        >>> right, half = torch.logit(torch.tensor([0.5])), torch.tensor([0.5])
        >>> quality_focal(right, half, gamma=2.0), quality_focal(right, torch.ones(1), gamma=2.0)
        (tensor([0.]), tensor([0.1733]))
    """
    focal = binary_cross_entropy(logits, target) * power((target - torch.sigmoid(logits)).abs(), gamma)
    return focal if alpha is None else weigh(focal, target, alpha)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-log p_t, with p_t the softmax probability of the target's class.

    Args:
        logits: (N, C, *spatial).
        target: (N, *spatial), class indices.

    Returns:
        (N, *spatial).
    """
    # Faster on dense masks than torch's own without its mean.
    return -F.log_softmax(logits, 1).gather(1, target.unsqueeze(1)).squeeze(1)


def softmax_focal(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """-(1 - p_t)^gamma log p_t, with p_t the softmax probability of the target's class.

    Args:
        logits: (N, C, *spatial).
        target: (N, *spatial), class indices.
        gamma: at least 0; 0 is the cross-entropy.

    Returns:
        (N, *spatial).
    """
    cost = cross_entropy(logits, target)
    return cost * power(-torch.expm1(-cost), gamma)


def asymmetric(logits: Tensor, target: Tensor, gamma_pos: float, gamma_neg: float, clip: float) -> Tensor:
    """-(1 - p)^gamma_pos log p for positives, -q^gamma_neg log(1 - q) with q = max(p - clip, 0) for negatives.

    Args:
        logits: any shape.
        target: the same shape and dtype, 0 or 1.
        gamma_pos: focusing of the positives, at least 0.
        gamma_neg: focusing of the negatives, at least 0.
        clip: in [0, 1); negatives with a probability up to it have the loss 0.

    Returns:
        The same shape.
    """
    if clip == 0:
        return sigmoid_focal(logits, target, gamma_neg + (gamma_pos - gamma_neg) * target)
    right = (torch.sigmoid(-logits) + clip).clamp_max(1)  # 1 - q, never below clip, so its logarithm is finite
    negative = -power(1 - right, gamma_neg) * torch.log(right)
    return torch.where(target > 0, sigmoid_focal(logits, torch.ones_like(target), gamma_pos), negative)


def dice(cells: Overlap, smooth: float = 0.0) -> Tensor:
    """1 - (2 I + s) / (P + T + s), for cells with T > 0.

    Args:
        cells: the counts I, P, T.
        smooth: s, at least 0, in pixels.
    """
    return 1 - (2 * cells.intersection + smooth) / (cells.predicted + cells.actual + smooth)


def jaccard(cells: Overlap, smooth: float = 0.0) -> Tensor:
    """1 - (I + s) / (P + T - I + s), for cells with T > 0.

    Args:
        cells: the counts I, P, T.
        smooth: s, at least 0, in pixels.
    """
    union = cells.predicted + cells.actual - cells.intersection
    return 1 - (cells.intersection + smooth) / (union + smooth)


def tversky(cells: Overlap, alpha: float, beta: float, smooth: float = 0.0) -> Tensor:
    """1 - (I + s) / (I + alpha FP + beta FN + s), with FP = P - I and FN = T - I, for cells with T > 0.

    Args:
        cells: the counts I, P, T.
        alpha: weight of the false positives, above 0.
        beta: weight of the false negatives, above 0, so that nothing is divided by 0.
        smooth: s, at least 0, in pixels.
    """
    wrong = alpha * (cells.predicted - cells.intersection) + beta * (cells.actual - cells.intersection)
    return 1 - (cells.intersection + smooth) / (cells.intersection + wrong + smooth)


def lovasz(
    values: Tensor, target: Tensor, valid: Tensor | None, per: str, error: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The Lovasz extension of the Jaccard loss: the sum over i of max(e_i, 0) (J_i - J_{i-1}), for each cell.

    The errors e are sorted from large to small. J_i is the Jaccard loss of a prediction that has the i worst pixels
    wrong and all others right, J_0 = 0. For given order this is linear in the errors, so only the weights need the
    sorted pixels, and no gradient flows through the sorting.

    Args:
        values: (N, C, *spatial), logits or probabilities.
        target: the same shape, 0 or 1, 0 where a pixel is not valid.
        valid: bool, the same shape or (N, 1, *spatial); None: all count.
        per: what a cell is, `"image"` or `"batch"`.
        error: values and target to errors, element by element.

    Returns:
        (N, C) per image, (C,) per batch.
    """
    heaps = pooled(values, per)
    size = max(_SORTED // max(heaps.shape[-1], 1), 1)
    parts = [torch.split(x.flatten(0, -2), size) for x in (heaps, pooled(target, per))]
    if valid is not None:
        parts.append(torch.split(pooled(valid.expand_as(values), per).flatten(0, -2), size))
    costs = [_lovasz(*part, error=error) for part in zip(*parts, strict=True)]
    return torch.cat(costs).reshape(heaps.shape[:-1])


def _lovasz(
    values: Tensor, target: Tensor, valid: Tensor | None = None, *, error: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """(cells, pixels) to (cells,)."""
    errors = error(values, target)
    if valid is not None:
        errors = torch.where(valid, errors, -1.0)
    return (errors * _steps(errors.detach(), target)).sum(-1)


def _steps(errors: Tensor, target: Tensor) -> Tensor:
    """J_i - J_{i-1} at the place of each error, 0 where it is below 0; (cells, pixels)."""
    order = errors.argsort(dim=-1, descending=True)
    actual = target.sum(-1, keepdim=True)
    missed = target.gather(-1, order).cumsum(-1)
    wrong = torch.arange(1, errors.shape[-1] + 1, device=errors.device, dtype=errors.dtype)
    jaccard = 1 - (actual - missed) / (actual + wrong - missed)
    steps = torch.diff(jaccard, dim=-1, prepend=torch.zeros_like(actual))
    return torch.zeros_like(errors).scatter(-1, order, steps) * (errors > 0)


def empty(cells: Overlap) -> Tensor:
    """log(1 + P) / log(1 + n): the loss of a prediction where the target is empty (T = 0).

    The overlap with an empty target is always 0: Dice and similar losses have no gradient there, and smoothing gives
    one only where P is about as small as the smoothing. This expression is 0 when nothing is predicted, 1 when
    everything is, and has the gradient 1 / ((1 + P) log(1 + n)) for each probability: in (0, 1 / log 2], positive
    everywhere. The total gradient on false positives is thus nearly the same for a small and a large one, and about as
    large as that of Dice on an image with a lesion. The mean probability, P / n, would hardly penalise a false positive
    of a lesion's size.

    Args:
        cells: the counts P and n.
    """
    return torch.log1p(cells.predicted) / torch.log1p(cells.pixels.clamp_min(1))


def overlap_mean(cells: Overlap, loss: Callable[[Overlap], Tensor]) -> Tensor:
    """Mean over the cells with valid pixels: a loss of overlap where there is foreground, `empty` where there is none.

    Args:
        cells: the counts.
        loss: an equation for cells with T > 0, such as `dice`.

    Returns:
        A scalar; 0, connected to the graph, if no cell has a valid pixel.
    """
    if _all_have_foreground(cells.actual):
        return masked_mean(loss(cells), None)
    foreground = cells.actual > 0
    # Both sides of a `where` are differentiated: T = 1 keeps the unused side free of 0 / 0.
    costs = torch.where(foreground, loss(cells._replace(actual=cells.actual.where(foreground, 1.0))), empty(cells))
    return masked_mean(costs, cells.pixels > 0)


def _all_have_foreground(actual: Tensor) -> bool:
    # A look at the values makes a GPU wait, so there the general case must do.
    looks = not (actual.is_cuda or torch.compiler.is_compiling()) and actual.numel() > 0
    return looks and bool(actual.amin() > 0)
