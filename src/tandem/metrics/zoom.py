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

_NOTHING = -(1 << 40)


def empty(channels: int) -> Tensor:
    """(C, CELLS, 2 + 2 BINS) int64: extremes, positives and negatives of each cell, of nothing."""
    state = torch.zeros(channels, CELLS, EXTREMES + 2 * BINS, dtype=torch.int64)
    state[..., :EXTREMES] = _NOTHING
    return state


def keys(probabilities: Tensor) -> Tensor:
    """Whole numbers that rise with the probability, one for each float32: its bits, above 0.5 those of 1 - p mirrored.

    Args:
        probabilities: float in [0, 1], any shape.

    Returns:
        int64, the same shape.
    """
    p = probabilities.float()
    bits = torch.minimum(p, 1 - p).contiguous().view(torch.int32).long()
    return torch.where(p > 0.5, 2 * HALF - bits, bits)


def cells(key: Tensor) -> Tensor:
    """The cell of each key, rising with it, int64."""
    low = ((key.clamp(max=HALF) - LOWEST) >> _CELL).clamp(min=-1) + 1
    high = ((2 * HALF - key - _UPPER) >> _CELL).clamp(min=-1) + 1
    return torch.where(key <= HALF, low, NAN - 1 - high)


def counted(probabilities: Tensor, target: Tensor) -> Tensor:
    """The state of one batch, without waiting for a device.

    Args:
        probabilities: (N, C, ...), float.
        target: the same shape; 1, 0, or anything else where it is missing.
    """
    p, y = (part.transpose(0, 1).flatten(1) for part in (probabilities, target))
    key, known = keys(p), (y == 0) | (y == 1)
    cell = torch.where(p.isnan(), NAN, cells(key))
    key = torch.where(p.isnan(), 0, key)
    state = empty(len(p)).to(p.device)
    for side, sign in enumerate((-1, 1)):
        extreme = torch.where(known, sign * key, _NOTHING)
        state[..., side] = state[..., side].scatter_reduce(1, cell, extreme, "amax")
    first, shift = _bins(state)
    place = (key >> shift.gather(1, cell)) - first.gather(1, cell)
    place = cell * 2 * BINS + place.clamp(0, BINS - 1) + BINS * (y == 0)
    counts = torch.zeros(len(p), CELLS * 2 * BINS, dtype=torch.int64, device=p.device)
    state[..., EXTREMES:] = counts.scatter_add_(1, place, known.long()).view(len(p), CELLS, 2 * BINS)
    return state


def merged(states: Tensor) -> Tensor:
    """The state of all from the states of parts, (P, C, CELLS, 2 + 2 BINS).

    Bins are aligned at whole multiples of their width, a power of 2, so those of a part lie within those of all.
    """
    whole = torch.zeros_like(states[0])
    whole[..., :EXTREMES] = states[..., :EXTREMES].amax(0)
    first, shift = _bins(whole)
    index = torch.arange(BINS, device=states.device)
    for state in states:
        old_first, old_shift = _bins(state)
        place = ((old_first[..., None] + index) >> (shift - old_shift).clamp(min=0)[..., None]) - first[..., None]
        place = place.clamp(0, BINS - 1)  # of bins that are empty
        place = torch.cat([place, place + BINS], dim=-1)
        whole[..., EXTREMES:].scatter_add_(2, place, state[..., EXTREMES:])
    return whole


def _bins(state: Tensor) -> tuple[Tensor, Tensor]:
    """(C, CELLS) index of the first bin, and by how many bits keys are shifted so that all lie in BINS bins."""
    low, high = -state[..., 0], state[..., 1]
    seen = high >= low
    low, high = torch.where(seen, low, 0), torch.where(seen, high, 0)
    shift = torch.zeros_like(low)
    for _ in range(32):  # keys have fewer bits
        shift = shift + ((high >> shift) - (low >> shift) >= BINS).long()
    return low >> shift, shift
