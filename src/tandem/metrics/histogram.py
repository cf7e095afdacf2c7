"""Histograms of probabilities by class of pixel, in one read or in blocks that fit into the CPU cache."""

import torch
from torch import Tensor

from tandem.metrics.compiled_counts import COMPILED
from tandem.metrics.threshold_index import Buckets

KINDS = 4
"""Kinds of target: 0 missing, 1 negative, 2 positive, 3 invalid."""

INVALID = 2
"""A value that no target may have."""

BLOCK, DEVICE_BLOCK = 1 << 15, 1 << 22
"""Pixels counted at once. On a CPU, blocks are small enough to stay in the cache and in one thread, since threads would
wait for each other in such short steps. On a GPU, blocks are large enough to use all of it."""

LANES, MOST_BINS = 4, 1 << 14
"""Maximum number of histograms used in turn, and their maximum total number of bins, so that they stay in the cache."""

BINS = 1 << 20
"""Bins of a block's histogram; many small rows are counted in several blocks."""


def histograms(p: Tensor, target: Tensor, buckets: Buckets) -> Tensor:
    """Counts the pixels of each row by kind and bucket, without synchronising with the device.

    The compiled loop and blocks count the same.

    Args:
        p: (R, L) probabilities of any floating type; float64 is rounded down to float32, which changes no comparison.
        target: (R, L) of any type, with 0, 1, 255 (missing).
        buckets: of the thresholds.

    Returns:
        (R, KINDS, buckets.size) int64.
    """
    if COMPILED.ready(p):
        keys = buckets.keys(_float32(p).contiguous())
        counts = COMPILED.count(keys, _bytes(target).contiguous(), buckets, KINDS)
    else:
        counts = _in_blocks(p, target, buckets)
    return counts.view(len(p), KINDS, buckets.size)


def _in_blocks(p: Tensor, target: Tensor, buckets: Buckets) -> Tensor:
    """(R, KINDS * buckets.size) int64 counts, by whole operations on blocks."""
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
    return counts


def _lanes(length: int, bins: int) -> int:
    """Number of histograms used in turn, pixel by pixel, if their extra cost is small compared with the counting.

    In most images most pixels fall into few bins, and each addition to a bin waits for the previous addition to it.
    """
    return max(1, min(LANES, MOST_BINS // bins, length // (LANES * bins)))


def _count(index: Tensor, bins: int) -> Tensor:
    """(bins,) number of occurrences of each index."""
    return torch.bincount(index, minlength=bins) if index.device.type == "cpu" else _add_up(index, bins)


def _add_up(index: Tensor, bins: int) -> Tensor:
    """The same on a GPU, where `bincount` would synchronise to find the largest index."""
    ones = torch.ones((), dtype=torch.int32, device=index.device).expand_as(index)
    return torch.zeros(bins, dtype=torch.int32, device=index.device).index_add_(0, index, ones)


def _float32(p: Tensor) -> Tensor:
    """Converts to float32, rounding float64 down, so that `p >= t` is unchanged for every float32 t."""
    single = p.float()
    if p.dtype != torch.float64:
        return single
    below = torch.nextafter(single, torch.full_like(single, -torch.inf))
    return torch.where(single > p, below, single)


def _bytes(target: Tensor) -> Tensor:
    """Targets as uint8; a value that is none becomes an invalid one."""
    byte = target.to(torch.uint8)
    return byte if target.dtype == torch.uint8 else byte.masked_fill_(byte != target, INVALID)


def _kind(target: Tensor) -> Tensor:
    """Kind of each pixel, uint8."""
    return (_bytes(target) + 1).clamp_(max=KINDS - 1)  # MISSING_PIXEL + 1 is 0
