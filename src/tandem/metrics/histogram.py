"""Histograms of probabilities by kind of pixel, counted in blocks that stay in the processor's cache."""

import torch
from torch import Tensor

from tandem.metrics.threshold_index import Buckets

KINDS = 4
"""Kinds of target: 0 missing, 1 negative, 2 positive, 3 none of these."""

BLOCK, DEVICE_BLOCK = 1 << 15, 1 << 22
"""Pixels counted at once. On a CPU few enough that no step leaves the cache or is split between threads, which for such
short steps would wait for each other; on a device as many as fill it."""

LANES, MOST_BINS = 4, 1 << 14
"""Most histograms that take turns, and the most bins that they may have together to stay in the cache."""

BINS = 1 << 20
"""Bins of a block's histogram; many small rows are counted in several blocks."""


def histograms(p: Tensor, target: Tensor, buckets: Buckets) -> Tensor:
    """Count every pixel of every row by kind and bucket, without synchronising with a device.

    Args:
        p: (R, L) probabilities of any floating type; float64 is rounded down to float32, which changes no comparison.
        target: (R, L) of any type, with 0, 1, 255 (missing).
        buckets: of the thresholds.

    Returns:
        (R, KINDS, buckets.size) int64.
    """
    rows, length = p.shape
    on_cpu = p.device.type == "cpu"
    block = BLOCK if on_cpu else DEVICE_BLOCK
    lanes = _lanes(length, KINDS * buckets.size) if on_cpu else 1
    bins = lanes * KINDS * buckets.size
    height = max(1, min(block // max(length, 1), BINS // bins))
    lane = (torch.arange(min(length, block), device=p.device) % lanes * KINDS).to(torch.uint8)
    row = torch.arange(height, device=p.device, dtype=torch.int32)[:, None]
    counts = torch.empty(rows, KINDS * buckets.size, dtype=torch.int64, device=p.device)
    for top in range(0, rows, height):
        taken = min(height, rows - top)
        found = torch.zeros(taken * bins, dtype=torch.int64, device=p.device)
        for left in range(0, length, block):
            part = slice(top, top + taken), slice(left, left + block)
            kind = _kind(target[part])
            kind += lane[: kind.shape[1]]
            index = buckets(_float32(p[part]).reshape(-1)).view(kind.shape)
            index.add_(kind, alpha=buckets.size)
            if taken > 1:
                index.add_(row[:taken], alpha=bins)
            found += _count(index.view(-1), taken * bins)
        counts[top : top + taken] = found.view(taken, lanes, -1).sum(1)
    return counts.view(rows, KINDS, buckets.size)


def _lanes(length: int, bins: int) -> int:
    """How many histograms take turns, pixel by pixel, where that is cheap compared with the counting.

    In most images most pixels fall into few bins, and an addition to a bin waits for the previous one to the same bin.
    """
    return max(1, min(LANES, MOST_BINS // bins, length // (LANES * bins)))


def _count(index: Tensor, bins: int) -> Tensor:
    """(bins,) how often each index occurs."""
    return torch.bincount(index, minlength=bins) if index.device.type == "cpu" else _add_up(index, bins)


def _add_up(index: Tensor, bins: int) -> Tensor:
    """The same on a GPU, where `bincount` would synchronise to find the largest index."""
    ones = torch.ones((), dtype=torch.int32, device=index.device).expand_as(index)
    return torch.zeros(bins, dtype=torch.int32, device=index.device).index_add_(0, index, ones)


def _float32(p: Tensor) -> Tensor:
    """The same in float32, float64 rounded down: `p >= t` is unchanged for every float32 t."""
    single = p.float()
    if p.dtype != torch.float64:
        return single
    below = torch.nextafter(single, torch.full_like(single, -torch.inf))
    return torch.where(single > p, below, single)


def _kind(target: Tensor) -> Tensor:
    """Of each pixel, uint8."""
    byte = target.to(torch.uint8)
    kind = (byte + 1).clamp_(max=KINDS - 1)  # MISSING_PIXEL + 1 is 0
    if target.dtype != torch.uint8:
        kind.masked_fill_(byte != target, KINDS - 1)
    return kind
