"""Adaptive average pooling as two matrix products, which every runtime has for images of any size."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MatrixPool(nn.Module):
    """What `nn.AdaptiveAvgPool2d(size)` computes: row i of the result is the mean of rows floor(i H / s) to
    ceil((i + 1) H / s) - 1, and likewise for columns.

    The library's own becomes a gather of computed indices in ONNX, which ONNX Runtime refuses for larger maps than 1x1.

    Args:
        size: rows and columns of the result.

    Example:
        >>> image = torch.rand(1, 2, 7, 5)
        >>> torch.testing.assert_close(MatrixPool((3, 2))(image), nn.AdaptiveAvgPool2d((3, 2))(image))
    """  # noqa: D205

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C, *size)."""
        rows = _weights(self.size[0], image.shape[-2], image)
        columns = _weights(self.size[1], image.shape[-1], image)
        return rows @ image @ columns.transpose(0, 1)


def _weights(cells: int, length: int, like: Tensor) -> Tensor:
    """(cells, length) shares of each position in each mean; rows add up to 1."""
    cell = torch.arange(cells, device=like.device).unsqueeze(1)
    place = torch.arange(length, device=like.device).unsqueeze(0)
    begin = (cell * length) // cells
    end = ((cell + 1) * length + cells - 1) // cells
    inside = ((place >= begin) & (place < end)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


@contextmanager
def exportable_pooling(module: nn.Module) -> Iterator[None]:
    """Replaces adaptive average pooling to more than one cell, for as long as a module is traced."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            size = _cells(child)
            if size is not None and size != (1, 1):
                replaced.append((parent, name, child))
                setattr(parent, name, MatrixPool(size))
    try:
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)


def _cells(module: nn.Module) -> tuple[int, int] | None:
    if not isinstance(module, nn.AdaptiveAvgPool2d):
        return None
    size = module.output_size
    rows, columns = size if isinstance(size, tuple) else (size, size)
    return None if rows is None or columns is None else (int(rows), int(columns))
