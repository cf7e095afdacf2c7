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
    """The state of one batch, without waiting for a device; see `added`."""
    return added(empty(probabilities.shape[1]).to(probabilities.device), probabilities, target)


def added(state: Tensor, probabilities: Tensor, target: Tensor) -> Tensor:
    """The state with one more batch, without waiting for a device.

    Args:
        state: (C, CELLS, 2 + 2 BINS), which stays as it is.
        probabilities: (N, C, ...), float.
        target: the same shape; 1, 0, or anything else where it is missing.
    """
    p, y = (part.transpose(0, 1).flatten(1) for part in (probabilities, target))
    missing, negative = len(p) * CELLS, y == 0
    key = keys(p)
    cell = cells(key).masked_fill_(p.isnan(), NAN)
    cell += torch.arange(0, missing, CELLS, dtype=torch.int32, device=p.device)[:, None]
    cell = cell.masked_fill_(~((y == 1) | negative), missing).long()  # a cell of their own after all others
    key, cell, negative = key.flatten(), cell.flatten(), negative.flatten()

    extremes = torch.stack([_highest(side, cell, missing) for side in (-key, key)], dim=-1)
    whole = widened(state, torch.maximum(state[..., :EXTREMES], extremes.view(len(p), CELLS, EXTREMES)))
    first, shift = (part.flatten() for part in _bins(whole))
    start = torch.arange(missing, device=p.device) * whole.shape[-1] + EXTREMES - first
    # the place of missing pixels is 0, of an extreme, which is restored
    start, shift = torch.cat([start, start.new_zeros(1)]), torch.cat([shift, shift.new_full((1,), 31)])
    place = (key >> shift.int().index_select(0, cell)).add_(start.int().index_select(0, cell))
    place.add_(negative, alpha=BINS)
    kept = whole[0, 0, 0].clone()
    whole.view(-1).index_add_(0, place, whole.new_ones(()).expand_as(place))
    whole[0, 0, 0] = kept
    return whole


def merged(states: Tensor) -> Tensor:
    """The state of all from the states of parts, (P, C, CELLS, 2 + 2 BINS)."""
    extremes = states[..., :EXTREMES].amax(0)
    whole = torch.stack([widened(state, extremes) for state in states]).sum(0)
    whole[..., :EXTREMES] = extremes
    return whole


def widened(state: Tensor, extremes: Tensor) -> Tensor:
    """The state with the bins of these extremes, (C, CELLS, 2), which include its own.

    Bins are aligned at whole multiples of their width, a power of 2, so each lies within one of the wider bins.
    """
    old, new = (torch.stack(_bins(part), dim=-1) for part in (state, extremes))
    if state.device.type == "cpu":  # after some batches few bins change; other devices would wait to know which
        whole = state.clone()
        moved = ((old != new).any(-1) & (state[..., 1] > _NOTHING)).nonzero(as_tuple=True)
        whole[moved] = _rebinned(state[moved], old[moved], new[moved])
    else:
        whole = _rebinned(state, old, new)
    whole[..., :EXTREMES] = extremes
    return whole


def _rebinned(state: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """(..., 2 + 2 BINS), from the bins `old` to `new`, each (..., 2): the first bin and the shift of the keys."""
    index = torch.arange(BINS, device=state.device)
    wider = (new[..., 1:] - old[..., 1:]).clamp(min=0)  # below 0 where there is nothing
    place = (((old[..., :1] + index) >> wider) - new[..., :1]).clamp(0, BINS - 1)  # of bins that are empty
    place = torch.cat([place, place + BINS], dim=-1) + EXTREMES
    return torch.zeros_like(state).scatter_add_(-1, place, state[..., EXTREMES:])


def _highest(key: Tensor, cell: Tensor, count: int) -> Tensor:
    """(count,) int64, the highest key of each cell but the last."""
    none = torch.full((count + 1,), _NONE, dtype=torch.int32, device=key.device)
    found = none.scatter_reduce(0, cell, key, "amax")[:-1]
    return found.long().masked_fill_(found == _NONE, _NOTHING)


def _bins(state: Tensor) -> tuple[Tensor, Tensor]:
    """(..., CELLS) index of the first bin, and by how many bits keys are shifted so that all lie in BINS bins."""
    low, high = -state[..., 0], state[..., 1]
    seen = high >= low
    low, high = low * seen, high * seen
    length = torch.frexp((high - low).double()).exponent  # in bits
    shift = (length.long() - (BINS.bit_length() - 1)).clamp(min=0)
    shift = shift + ((high >> shift) - (low >> shift) >= BINS)  # they lie in one bin more if not aligned
    return low >> shift, shift
