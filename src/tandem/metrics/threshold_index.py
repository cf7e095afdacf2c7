"""Counts how many thresholds a probability passes, by a lookup in a small table instead of a search."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError

HALF, ONE = 0x3F000000, 0x3F800000
"""The bits of 0.5 and 1.0 as float32."""

NAN, NEGATIVE_NAN = 0x7F800001, 0xFF800001 - 2**32
"""The first bit patterns beyond +infinity and -infinity; these and larger ones are nan."""

SHIFTS = range(19, 11, -1)
"""Numbers of trailing bits that a cell can ignore, coarsest first: tables of 2^13 to 2^20 entries."""

Whole = npt.NDArray[np.int64]

MOST = 65_536
"""Maximum number of thresholds."""


class Buckets(nn.Module):
    """Maps float32 probabilities to buckets: how many of T thresholds they pass (`p >= threshold`), exactly.

    The bits of float32 numbers in [0, 1], read as integers, have the same order as the numbers. The leading bits name a
    cell, and a table holds the number of thresholds below each cell. For a cell that contains a threshold, the table
    entry is chosen such that adding the trailing bits carries if and only if p reaches the threshold: with `b` the
    trailing s bits of p, `n` the number of thresholds below p's cell, and `t` the trailing bits of the threshold inside
    the cell,

        bucket = (b + n 2^s + 2^s - t) >> s = n + [b >= t].

    Cells are as coarse as possible with at most one threshold in each. If thresholds are too close for that, a second
    table counts the second threshold in a cell, and so on. If thresholds are dense near 1 (a logit-spaced grid), values
    above 0.5 are looked up by 1 - p, which float32 subtracts without rounding.

    Args:
        thresholds: (T,) float32, increasing, inside (0, 1).

    Attributes:
        size: number of buckets, T + 3: 0 to T thresholds passed, then outside of [0, 1], then nan. Negative numbers
            closer to 0 than 1e-38 count as 0.

    Raises:
        ConfigError: more than 65 536 thresholds.

    Example:
        >>> Buckets(torch.tensor([0.25, 0.5]))(torch.tensor([0.1, 0.25, 0.9, 1.5])).tolist()
        [0, 1, 2, 3]
    """

    tables: Tensor

    def __init__(self, thresholds: Tensor) -> None:
        super().__init__()
        if len(thresholds) > MOST:
            raise ConfigError(f"{len(thresholds)} thresholds are given, but at most {MOST} are supported; use fewer")
        self.size = len(thresholds) + 3
        edges = {mirrored: _edges(thresholds, mirrored) for mirrored in (False, True)}
        choices = [(mirrored, shift) for mirrored in edges for shift in SHIFTS if (self.size + 1) << shift < 2**31]
        self.mirrored, self.shift = min(choices, key=lambda choice: int(_layers(edges[choice[0]], choice[1]).max()))
        self.register_buffer("tables", _tables(edges[self.mirrored], self.shift), persistent=False)

    def keys(self, p: Tensor) -> Tensor:
        """Maps float32 probabilities to whole numbers in the same order, int32, of the same shape."""
        return _mirror(p) if self.mirrored else p.view(torch.int32)

    def forward(self, p: Tensor) -> Tensor:
        """Maps (L,) contiguous float32 probabilities to (L,) int32 buckets."""
        key = self.keys(p)
        cell = key >> self.shift
        cell += self.tables.shape[1] // 2  # the first half of the table is for negative numbers
        passed = self._look_up(self.tables[0], cell, key)
        for table in self.tables[1:]:
            passed += self._look_up(table, cell, key)
        return passed

    def _look_up(self, table: Tensor, cell: Tensor, key: Tensor) -> Tensor:
        found = table.index_select(0, cell)
        found += key
        found >>= self.shift
        return found


def _mirror(p: Tensor) -> Tensor:
    """Bits of p up to 0.5, then the bits of 1 - p counted down: the same order, and as fine near 1 as near 0."""
    bits = torch.minimum(p, 1 - p).view(torch.int32)
    return torch.where(p > 0.5, 2 * HALF - bits, bits)


def _edges(thresholds: Tensor, mirrored: bool) -> Whole:
    """(T + 2,) smallest key of each further bucket: one for each threshold, one above 1, one for nan."""
    keys = _mirror(thresholds) if mirrored else thresholds.view(torch.int32)
    return np.array([*keys.tolist(), (2 * HALF if mirrored else ONE) + 1, NAN])


def _layers(edges: Whole, shift: int) -> Whole:
    """(T + 2,) index of each edge within its cell, from 0."""
    cell = edges >> shift
    return np.arange(len(edges)) - np.searchsorted(cell, cell)


def _tables(edges: Whole, shift: int) -> Tensor:
    """(layers, 2^(32 - shift)) int32 values to add to the keys of each cell, starting at the most negative cell."""
    half = 1 << (31 - shift)
    layers, cell = _layers(edges, shift), (edges >> shift) + half
    inside = np.bincount(cell, minlength=2 * half)
    passed = inside.cumsum() - inside  # thresholds below the start of each cell
    nan = (NEGATIVE_NAN >> shift) + half
    passed[1 : nan + 1] = len(edges) - 1  # outside of [0, 1]; the very first cell holds -0.0
    passed[nan + 1 : half] = len(edges)
    start = np.arange(-half, half)
    tables = np.tile(-start, (int(layers.max()) + 1, 1))
    tables[0] += passed
    tables <<= shift
    tables[layers, cell] += (1 << shift) - edges % (1 << shift)
    tables[0, nan] += (1 << shift) - NEGATIVE_NAN % (1 << shift)
    return torch.from_numpy(tables.astype(np.int32))  # wraps around, as the sum with a key does
