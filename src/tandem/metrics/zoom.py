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
        probabilities: float in [0, 1], any shape; a number outside counts as 0 or 1.

    Returns:
        int32 in [0, 2 HALF], the same shape; below 0 for nan.
    """
    p = probabilities.float().clamp(0, 1).abs_().contiguous()  # 0 and nan may have a sign
    bits = torch.minimum(p, 1 - p).abs_().view(torch.int32)
    above = _above(p.view(torch.int32))
    return (bits ^ above).add_(above.bitwise_and_(2 * HALF + 1))  # 2 HALF - bits where all bits of `above` are 1


def cells(key: Tensor) -> Tensor:
    """The cell of each key, rising with it, int32."""
    # mirrored cells end with their key that is a power of 2, where others begin with it
    cell = _above(key).bitwise_and_((2 << _CELL) - 1).add_(key) >> _CELL
    cell = cell.sub_((LOWEST >> _CELL) - 1).clamp_(0, NAN - 1)
    return torch.maximum(cell, (key >> 31).bitwise_and_(NAN))


def _above(bits: Tensor) -> Tensor:
    """int32, all bits 1 above HALF, else 0; much faster than a comparison and a choice."""
    return (HALF - bits) >> 31


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
    cell = cells(key)
    cell += torch.arange(0, missing, CELLS, dtype=torch.int32, device=p.device)[:, None]
    cell = cell.masked_fill_(~((y == 1) | negative), missing).flatten()  # a cell of their own after all others
    key = key.flatten().clamp_(min=0)  # of nan

    extremes = _extremes(key, cell.long(), missing)
    whole, bins = _widened(state, torch.maximum(state[..., :EXTREMES], extremes.view(len(p), CELLS, EXTREMES)))
    first, shift = bins.flatten(0, 1).unbind(-1)
    start = torch.arange(missing, device=p.device) * whole.shape[-1] + EXTREMES - first
    # the place of missing pixels is 0, of an extreme, which is restored
    start, shift = torch.cat([start, start.new_zeros(1)]), torch.cat([shift, shift.new_full((1,), 31)])
    place = (key >> shift.int().index_select(0, cell)).add_(start.int().index_select(0, cell))
    place.add_(negative.flatten(), alpha=BINS)
    kept = whole[0, 0, 0].clone()
    whole.view(-1).index_add_(0, place, whole.new_ones(()).expand_as(place))
    whole[0, 0, 0] = kept
    return whole


def merged(states: Tensor) -> Tensor:
    """The state of all from the states of parts, (P, C, CELLS, 2 + 2 BINS)."""
    extremes = states[..., :EXTREMES].amax(0)
    whole = torch.stack([_widened(state, extremes)[0] for state in states]).sum(0)
    whole[..., :EXTREMES] = extremes
    return whole


def _widened(state: Tensor, extremes: Tensor) -> tuple[Tensor, Tensor]:
    """The state with the bins of these extremes, (C, CELLS, 2), which include its own; and these bins, as `_bins`.

    Bins are aligned at whole multiples of their width, a power of 2, so each lies within one of the wider bins.
    """
    old, new = _bins(torch.stack([state[..., :EXTREMES], extremes]))
    if state.device.type == "cpu":  # after some batches few bins change; other devices would wait to know which
        whole = state.clone()
        moved = ((old != new).any(-1) & (state[..., 1] > _NOTHING)).nonzero(as_tuple=True)
        whole[moved] = _rebinned(state[moved], old[moved], new[moved])
    else:
        whole = _rebinned(state, old, new)
    whole[..., :EXTREMES] = extremes
    return whole, new


def _rebinned(state: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """(..., 2 + 2 BINS), from the bins `old` to `new`, each (..., 2): the first bin and the shift of the keys."""
    index = torch.arange(BINS, device=state.device)
    wider = (new[..., 1:] - old[..., 1:]).clamp(min=0)  # below 0 where there is nothing
    place = (((old[..., :1] + index) >> wider) - new[..., :1]).clamp(0, BINS - 1)  # of bins that are empty
    place = torch.cat([place, place + BINS], dim=-1) + EXTREMES
    return torch.zeros_like(state).scatter_add_(-1, place, state[..., EXTREMES:])


def _extremes(key: Tensor, cell: Tensor, count: int) -> Tensor:
    """(count, 2) int64, minus the lowest key and the highest of each cell but the last."""
    none = torch.full((count + 1,), _NONE, dtype=torch.int32, device=key.device)
    found = torch.stack([none.scatter_reduce(0, cell, side, "amax")[:-1] for side in (-key, key)], dim=-1)
    return found.long().masked_fill_(found == _NONE, _NOTHING)


def _bins(extremes: Tensor) -> Tensor:
    """(..., 2) index of the first bin, and by how many bits keys are shifted so that all lie in BINS bins.

    Args:
        extremes: (..., 2).
    """
    seen = extremes[..., 1] > _NOTHING
    low, high = -extremes[..., 0] * seen, extremes[..., 1] * seen
    length = torch.frexp((high - low).double()).exponent  # in bits
    shift = (length - (BINS.bit_length() - 1)).clamp_(min=0).long()
    shift += (high >> shift) - (low >> shift) >= BINS  # they lie in one bin more if not aligned
    return torch.stack([low >> shift, shift], dim=-1)
