"""Pooling by matrices equals PyTorch's, and is put back after tracing."""

import pytest
import torch
from torch import nn

from tandem.export.pooling import MatrixPool, exportable_pooling


@pytest.mark.parametrize("cells", [(1, 1), (2, 2), (3, 3), (6, 6), (2, 5)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (7, 5), (12, 13)])
def test_equals_adaptive_pooling(cells: tuple[int, int], size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(MatrixPool(cells)(image), nn.AdaptiveAvgPool2d(cells)(image), rtol=1e-12, atol=1e-12)


def test_is_put_back() -> None:
    one, six = nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(6)
    inner = nn.Sequential(six)
    module = nn.Sequential(one, inner, nn.AdaptiveAvgPool2d((None, 2)))
    with exportable_pooling(module):
        assert module[0] is one
        inside: nn.Module = inner[0]
        assert isinstance(inside, MatrixPool)
        assert not isinstance(module[2], MatrixPool)
    assert inner[0] is six
