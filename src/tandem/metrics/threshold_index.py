"""How many thresholds a probability passes, by indexing a small table instead of searching."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError

HALF, ONE = 0x3F000000, 0x3F800000
"""The bits of 0.5 and 1.0 as float32."""

NAN, NEGATIVE_NAN = 0x7F800001, 0xFF800001 - 2**32
"""The first bits beyond infinity on either side: from there on it is not a number."""

SHIFTS = range(19, 11, -1)
"""How many trailing bits a cell may leave out, coarsest first: tables of 2^13 to 2^20 entries."""

Whole = npt.NDArray[np.int64]

MOST = 65_536
"""Thresholds that a table can count."""


class Buckets(nn.Module):
    """Maps float32 probabilities to buckets: how many of T thresholds they pass (`p >= threshold`), exactly.

    The bits of a float32 in [0, 1], read as an integer, order as the numbers do. Their leading bits name a cell, and a
    table holds how many thresholds lie below a cell. Where a threshold lies inside one, what the table adds makes the
    trailing bits carry, exactly from that threshold on: with `b` the trailing s bits of p, `n` the thresholds up to
    the start of p's cell, and `t` the trailing bits of the one inside it,

        bucket = (b + n 2^s + 2^s - t) >> s = n + [b >= t].

    Cells are as coarse as they may be with at most one threshold in each; where thresholds are too close for that, a
    second table counts the second one in a cell, and so on. Thresholds that are dense near 1 (a logit-spaced grid) are
    looked up there by 1 - p, which float32 subtracts without rounding.

    Args:
        thresholds: (T,) float32, increasing, inside (0, 1).

    Attributes:
        size: buckets, T + 3: 0 to T thresholds passed, then outside of [0, 1], then not a number. Negative numbers
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
            raise ConfigError(f"{len(thresholds)} thresholds are more than {MOST}; take fewer")
        self.size = len(thresholds) + 3
        edges = {mirrored: _edges(thresholds, mirrored) for mirrored in (False, True)}
        choices = [(mirrored, shift) for mirrored in edges for shift in SHIFTS if (self.size + 1) << shift < 2**31]
        self.mirrored, self.shift = min(choices, key=lambda choice: int(_layers(edges[choice[0]], choice[1]).max()))
        self.register_buffer("tables", _tables(edges[self.mirrored], self.shift), persistent=False)

    def forward(self, p: Tensor) -> Tensor:
        """(L,) float32, contiguous, to (L,) int32 buckets."""
        key = _mirror(p) if self.mirrored else p.view(torch.int32)
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
    """Bits of p up to a half, then those of 1 - p counted down: in order as well, and as fine near 1 as near 0."""
    bits = torch.minimum(p, 1 - p).view(torch.int32)
    return torch.where(p > 0.5, 2 * HALF - bits, bits)


def _edges(thresholds: Tensor, mirrored: bool) -> Whole:
    """(T + 2,) keys from which on a number is in the next bucket: each threshold's, beyond 1, not a number."""
    keys = _mirror(thresholds) if mirrored else thresholds.view(torch.int32)
    return np.array([*keys.tolist(), (2 * HALF if mirrored else ONE) + 1, NAN])


def _layers(edges: Whole, shift: int) -> Whole:
    """(T + 2,) the index of each edge within its cell, from 0."""
    cell = edges >> shift
    return np.arange(len(edges)) - np.searchsorted(cell, cell)


def _tables(edges: Whole, shift: int) -> Tensor:
    """(layers, 2^(32 - shift)) int32: what is added to the keys of each cell, from the most negative cell on."""
    half = 1 << (31 - shift)
    layers, cell = _layers(edges, shift), (edges >> shift) + half
    inside = np.bincount(cell, minlength=2 * half)
    passed = inside.cumsum() - inside  # up to a cell's start
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
