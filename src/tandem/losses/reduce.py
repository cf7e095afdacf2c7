"""Means over the elements that have a target."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Per = Literal["image", "batch"]
"""What one overlap is measured on: each image separately, or the whole batch."""

PER: tuple[str, ...] = get_args(Per)


Divide = Callable[[Tensor, Tensor], Tensor]
"""A sum and the number of values in it, both scalars, to their mean."""


class _Means:
    divide: Divide | None = None


@contextmanager
def means_by(divide: Divide) -> Iterator[None]:
    """Inside, the means of losses are computed by a function, such as one that adds up the rows of all devices."""
    _Means.divide = divide
    try:
        yield
    finally:
        _Means.divide = None


def means_are_own() -> bool:
    """Whether a loss may compute its means by any function; False inside of `means_by`."""
    return _Means.divide is None


def masked_sum(values: Tensor, valid: Tensor | None, dims: tuple[int, ...]) -> Tensor:
    """Sum of the valid values over some dimensions.

    Args:
        values: any shape.
        valid: bool, a shape that broadcasts to that of the values, False where a value is left out; None: all are
            valid.
        dims: dimensions to sum over; () leaves the values as they are (torch itself would sum over all).
    """
    if valid is not None:
        values = torch.where(valid, values, 0.0)
    return values.sum(dims) if dims else values


def masked_mean(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of the valid values: their sum divided by their number; elements without a target have no influence.

    Args:
        values: any shape; where not valid they must be finite if a gradient flows through them, since 0 * NaN = NaN.
        valid: bool, the same shape, False where a value is left out; None: all are valid.

    Returns:
        A scalar. If nothing is valid: 0, still connected to the graph, with the gradient 0 (0 / 1, not 0 / 0).

    Example:
        >>> masked_mean(torch.tensor([1.0, 3.0, 100.0]), torch.tensor([True, True, False]))
        tensor(2.)
    """
    if _Means.divide is not None:
        count = values.new_full((), values.numel()) if valid is None else valid.sum()
        return _Means.divide(masked_sum(values, valid, tuple(range(values.ndim))), count)
    if valid is None:
        # The gradient of a sum is one number that is read everywhere; that of a mean would be written out.
        return values.sum() / max(values.numel(), 1)
    return torch.where(valid, values, 0.0).sum() / valid.sum().clamp_min(1)


class Overlap(NamedTuple):
    """Soft counts of a prediction against a target, one for each cell: (N, C) per image, (C,) per batch.

    Attributes:
        intersection: I, sum of probability x target; for a soft target the sum of the smaller of the two.
        predicted: P, sum of probability.
        actual: T, sum of target.
        pixels: n, number of valid pixels.
    """

    intersection: Tensor
    predicted: Tensor
    actual: Tensor
    pixels: Tensor


def overlap(probability: Tensor, target: Tensor, valid: Tensor | None, per: str, fractional: bool = False) -> Overlap:
    """Count a prediction against a target, in plain sums (no matrix product, which might run in TF32).

    Args:
        probability: (N, C, *spatial) in [0, 1].
        target: the same shape, 0 or 1, and 0 where not valid.
        valid: bool, the same shape or (N, 1, *spatial); None: all count.
        per: `"image"` or `"batch"`.
        fractional: whether the target may lie between 0 and 1.
    """
    dims = tuple(range(2, probability.ndim))
    if per == "batch":
        dims = (0, *dims)
    predicted = masked_sum(probability, valid, dims)
    if valid is None:
        pixels = torch.full_like(predicted, probability.numel() / max(predicted.numel(), 1))
    else:
        pixels = masked_sum(valid.expand_as(probability).to(probability.dtype), None, dims)
    shared = torch.minimum(probability, target) if fractional else probability * target
    return Overlap(masked_sum(shared, None, dims), predicted, masked_sum(target, None, dims), pixels)


def pooled(values: Tensor, per: str) -> Tensor:
    """The values of each cell in a row, in the order of the cells of `overlap`.

    Args:
        values: (N, C, *spatial).
        per: `"image"` or `"batch"`.

    Returns:
        (N, C, pixels) per image, (C, N x pixels) per batch.
    """
    if per == "batch":
        return values.transpose(0, 1).flatten(1)
    return values.flatten(2) if values.ndim > 2 else values.unsqueeze(2)
