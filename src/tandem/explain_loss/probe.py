"""Evaluates a loss at given logits: its value, and the gradient with respect to each logit."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def probe(loss: nn.Module, outputs: Tensor, target: Tensor) -> tuple[float, Tensor]:
    """Computes the loss and its gradient dL / dz, by automatic differentiation in float64.

    A multiclass loss is shown on two classes, background and lesion: the softmax of the logits (0, z) is sigmoid(z),
    and the gradient is that of the lesion's logit; that of the background's logit is its negative.

    Args:
        loss: a loss of the kind `binary`, `multiclass` or `regression`.
        outputs: (N, 1, *spatial) logits z, or predictions of a regression.
        target: the same shape; 0, 1 and 255 (missing), or the numbers of a regression.

    Returns:
        The weighted sum of the loss's terms, and its gradient in the shape of the outputs.

    Example:
        >>> from tandem.losses.binary import BCE
        >>> value, gradient = probe(BCE(), torch.zeros(1, 1), torch.ones(1, 1))
        >>> round(value, 4), gradient.item()
        (0.6931, -0.5)
    """
    z = outputs.detach().double().requires_grad_()
    if loss.kind == "multiclass":
        terms = loss(torch.cat([torch.zeros_like(z), z], dim=1), target.squeeze(1).long())
    else:
        terms = loss(z, target.double() if loss.kind == "regression" else target)
    cost = total(loss, terms)
    (gradient,) = torch.autograd.grad(cost, z)
    return cost.item(), gradient


def total(loss: nn.Module, terms: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Returns the scalar that training minimises: the value itself, or the weighted sum of named terms."""
    if isinstance(terms, Tensor):
        return terms
    weights: Mapping[str, float] = getattr(loss, "weights", {})
    return torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
