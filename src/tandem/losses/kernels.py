"""Two kernels whose gradient is written out, as autograd would take more passes over the pixels and more memory.

Each saves its inputs only and differentiates by operations that can themselves be differentiated, so that second
derivatives, `torch.func` and `torch.compile` work through it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

_LINEAR = 40.0  # from here on log(1 + e^t) = t to float64's last digit


class _CrossEntropy(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, target: Tensor) -> Tensor:
        wrong = torch.addcmul(logits, logits, target, value=-2)  # the logit of the wrong answer, (1 - 2 y) z
        return F.softplus(wrong, threshold=_LINEAR)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logits, target = ctx.saved_tensors
        return (torch.sigmoid(logits) - target) * gradient, None


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """-y log p - (1 - y) log(1 - p) = log(1 + e^t), t = (1 - 2 y) z, with the gradient p - y.

    Args:
        logits: z, any shape; finite.
        target: y, the same shape and dtype, 0 or 1; no gradient flows to it.

    Returns:
        The same shape.
    """
    cost: Tensor = _CrossEntropy.apply(logits, target)
    return cost


class _Sums(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(probability: Tensor, target: Tensor, dims: tuple[int, ...]) -> Tensor:
        both = (probability * target).sum(dims, keepdim=True), probability.sum(dims, keepdim=True)
        return torch.stack(both)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, tuple[int, ...]], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (target,) = ctx.saved_tensors
        return (target * gradient[0]).add_(gradient[1]), None, None


def sums(probability: Tensor, target: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The sums of p y and of p over some dimensions, with the gradient g_1 y + g_2.

    Args:
        probability: p, any shape.
        target: y, the same shape and dtype; no gradient flows to it.
        dims: dimensions to sum over, at least one.
    """
    found: Tensor = _Sums.apply(probability, target, dims)
    intersection, predicted = found.unbind(0)
    return intersection.squeeze(dims), predicted.squeeze(dims)
