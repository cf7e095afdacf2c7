"""Histograms of probabilities whose bins adapt to where the probabilities lie, for curves of any number of pixels.

[0, 1] is divided into 500 fixed cells, eight to each power of 2 of the distance to the nearer of 0 and 1. Each cell has
128 bins of its own, as narrow as they can be for the lowest and the highest probability seen in it: down to single
float32 numbers. The bins depend on nothing but the extremes, so batches, their order and the processes that counted
them change no bit.
"""

import torch
from torch import Tensor

BINS = 128
"""Bins of a cell."""

LOWEST, HALF = 0x2B800000, 0x3F000000
"""The bits of 2^-40, below which is the outermost cell, and of 0.5."""

_CELL = 20
"""Trailing bits of a float32 within a cell: of the mantissa's 23, three name the cell."""

_UPPER = 0x33800000  # 2^-24: float32 has nothing nearer to 1, but 1 itself
_MIDDLE = ((HALF - LOWEST) >> _CELL) + 1
CELLS = _MIDDLE + 1 + ((HALF - _UPPER) >> _CELL) + 2 + 1
"""Cells from 0 to 1, and one for probabilities that are nan."""

NAN = CELLS - 1
"""The cell of probabilities that are nan."""

EXTREMES = 2
"""Numbers of a cell before its counts: minus the lowest key, and the highest."""

_NOTHING, _NONE = -(1 << 40), -(1 << 31)
"""Instead of extremes where there is no pixel: in a state, and in int32."""

_MISSING = CELLS
"""The cell, while a batch is counted, of pixels without a target."""


def empty(channels: int) -> Tensor:
    """(C, CELLS, 2 + 2 BINS) int64: extremes, positives and negatives of each cell, of nothing."""
    state = torch.zeros(channels, CELLS, EXTREMES + 2 * BINS, dtype=torch.int64)
    state[..., :EXTREMES] = _NOTHING
    return state


def keys(probabilities: Tensor) -> Tensor:
    """Whole numbers that rise with the probability, one for each float32: its bits, above 0.5 those of 1 - p mirrored.

    Args:
        probabilities: float in [0, 1], any shape; a number outside counts as 0 or 1, and nan as 0.

    Returns:
        int32 in [0, 2 HALF], the same shape.
    """
    p = probabilities.float().nan_to_num(0).clamp_(0, 1)
    bits = torch.minimum(p, 1 - p).abs().contiguous().view(torch.int32)  # abs: -0 is 0
    above = (p > 0.5).int()
    return bits.mul_(1 - 2 * above).add_(above, alpha=2 * HALF)  # faster than torch.where


def cells(key: Tensor) -> Tensor:
    """The cell of each key, rising with it, int32."""
    shifted = key.add(key > HALF, alpha=(2 << _CELL) - 1)  # above 0.5 the narrower end of a cell is its upper one
    return (shifted.__irshift__(_CELL) - ((LOWEST >> _CELL) - 1)).clamp_(0, NAN - 1)


def counted(probabilities: Tensor, target: Tensor) -> Tensor:
    """The state of one batch, without waiting for a device.

    Args:
        probabilities: (N, C, ...), float.
        target: the same shape; 1, 0, or anything else where it is missing.
    """
    p, y = (part.transpose(0, 1).flatten(1) for part in (probabilities, target))
    channels, negative = len(p), y == 0
    key = keys(p)
    cell = cells(key).masked_fill_(p.isnan(), NAN).masked_fill_(~((y == 1) | negative), _MISSING)
    cell += torch.arange(channels, dtype=torch.int32, device=p.device)[:, None] * (CELLS + 1)
    key, cell = key.flatten(), cell.flatten().long()
    total = channels * (CELLS + 1)
    extremes = torch.stack([_highest(-key, cell, total), _highest(key, cell, total)], dim=-1)
    first, shift = _bins(extremes)
    start = torch.arange(total, device=p.device) * 2 * BINS - first
    place = (key >> shift.int().index_select(0, cell)).add_(start.int().index_select(0, cell))
    counts = _occurrences(place.add_(negative.flatten(), alpha=BINS), total * 2 * BINS).view(total, 2 * BINS)
    return torch.cat([extremes, counts], dim=-1).view(channels, CELLS + 1, -1)[:, :CELLS]


def merged(states: Tensor) -> Tensor:
    """The state of all from the states of parts, (P, C, CELLS, 2 + 2 BINS).

    Bins are aligned at whole multiples of their width, a power of 2, so those of a part lie within those of all.
    """
    extremes, counts = states[..., :EXTREMES], states[..., EXTREMES:]
    most = extremes.amax(0)
    old, new = torch.stack(_bins(extremes), -1), torch.stack(_bins(most), -1).expand(len(states), -1, -1, -1)
    if states.device.type != "cpu":
        return torch.cat([most, _rebinned(counts, old, new).sum(0)], dim=-1)
    moved = (old != new).any(-1) & (extremes[..., 1] >= 0)  # few of them after some batches
    total = counts.masked_fill(moved[..., None], 0).sum(0)
    part = moved.nonzero(as_tuple=True)
    total.index_put_(part[1:], _rebinned(counts[part], old[part], new[part]), accumulate=True)
    return torch.cat([most, total], dim=-1)


def _highest(key: Tensor, cell: Tensor, total: int) -> Tensor:
    """(total,) int64, the highest key of each cell."""
    start = torch.full((total,), _NONE, dtype=torch.int32, device=key.device)
    found = start.scatter_reduce(0, cell, key, "amax")
    return found.long().masked_fill_(found == _NONE, _NOTHING)


def _occurrences(index: Tensor, total: int) -> Tensor:
    """(total,) int64, how often each index occurs; on a device without `bincount`, which would wait for it."""
    if index.device.type == "cpu":
        return torch.bincount(index, minlength=total)
    ones = torch.ones((), dtype=torch.int64, device=index.device).expand_as(index)
    return torch.zeros(total, dtype=torch.int64, device=index.device).scatter_add_(0, index.long(), ones)


def _rebinned(counts: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """(..., 2 BINS) counts in wider bins; `old` and `new` are (..., 2): the first bin and the shift of the keys."""
    index = torch.arange(BINS, device=counts.device)
    wider = (new[..., 1:] - old[..., 1:]).clamp(min=0)  # below 0 where there is nothing
    place = (((old[..., :1] + index) >> wider) - new[..., :1]).clamp(0, BINS - 1)  # of bins that are empty
    place = torch.cat([place, place + BINS], dim=-1)
    return torch.zeros_like(counts).scatter_add_(-1, place, counts)


def _bins(extremes: Tensor) -> tuple[Tensor, Tensor]:
    """(..., CELLS) index of the first bin, and by how many bits keys are shifted so that all lie in BINS bins."""
    low, high = -extremes[..., 0], extremes[..., 1]
    seen = high >= low
    low, high = low * seen, high * seen
    length = torch.frexp((high - low).double()).exponent  # in bits
    shift = (length.long() - (BINS.bit_length() - 1)).clamp(min=0)
    shift = shift + ((high >> shift) - (low >> shift) >= BINS)  # they lie in one bin more if not aligned
    return low >> shift, shift
