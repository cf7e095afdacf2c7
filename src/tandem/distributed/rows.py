"""Losses of a batch from the rows of each device: sums and numbers are added up over the devices, and nothing else.

Each device computes the losses of its own rows. A loss is a sum divided by a number, of labelled rows, of known pixels
or of cells. Both are added up over the devices, so that every device has the loss of the batch, and the gradient of its
own rows in it. Two numbers for each mean travel, not the logits.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Labelled:
    """Number of labelled rows on all devices, by task; None where each device has the whole batch."""

    rows: Mapping[str, int] | None = None


@contextmanager
def rows_of_all(own: Mapping[str, int], device: torch.device) -> Iterator[None]:
    """Inside, tasks know how many labelled rows all devices have.

    Args:
        own: number of this device's labelled rows, by task.
        device: of the tensors.
    """
    counts = torch.tensor(list(own.values()), device=device)
    dist.all_reduce(counts)
    _Labelled.rows = dict(zip(own, counts.tolist(), strict=True))
    try:
        yield
    finally:
        _Labelled.rows = None


def labelled_rows(task: str, own: int) -> int:
    """The labelled rows that a task's loss is of: this device's, or, inside of `rows_of_all`, those of all devices."""
    return own if _Labelled.rows is None else _Labelled.rows.get(task, own)


def shared_mean(total: Tensor, count: Tensor) -> Tensor:
    """The mean over all devices, from each one's sum and number of values.

    Args:
        total: scalar; the gradient goes to it, times the devices, since DDP averages later.
        count: scalar.

    Returns:
        The same scalar on every device; 0 if there is no value.
    """
    mean: Tensor = _SharedMean.apply(total, count)
    return mean


class _SharedMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, count: Tensor) -> Tensor:
        both = torch.stack([total.double(), count.double()])
        dist.all_reduce(both)
        number = both[1].clamp_min(1)
        ctx.scale = dist.get_world_size() / number
        return (both[0] / number).to(total.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return (gradients[0] * ctx.scale).to(gradients[0].dtype), None
