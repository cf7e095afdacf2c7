"""Computing a batch again without side effects."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def same_buffers(module: nn.Module) -> Iterator[None]:
    """Restore every buffer at the end, such as the running statistics of a normalisation layer.

    Args:
        module: whose buffers, and those of its submodules, are restored.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> with same_buffers(norm):
        ...     _ = norm(torch.ones(4, 2))
        >>> norm.running_mean
        tensor([0., 0.])
    """
    kept = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
