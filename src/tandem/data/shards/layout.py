"""Where a row's tensors lie in a shard, in LitData's format for dicts of tensors; all rows of a split are alike.

A shard is a head and its rows. The head has the number of rows and where each row begins and the last one ends, as
uint32. A row has the length of each of its tensors, as uint32, and then the tensors: a code of the dtype, the number of
dimensions and the shape, as uint32 of the big end first, and the values.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

CODES = {torch.float32: 1, torch.uint8: 11, torch.uint16: 20}
"""How LitData names the dtypes of pixels."""

KINDS: Mapping[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype("<f4"),
    torch.uint8: np.dtype("|u1"),
    torch.uint16: np.dtype("<u2"),
}
"""The dtypes as numpy names them."""

LARGEST = 2**32 - 1
"""Bytes of a shard: LitData counts them in 32 bits."""

WORD = 4


@dataclass(frozen=True)
class Field:
    """A tensor of each row.

    Attributes:
        shape: of one row.
        dtype: a key of `CODES`.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def head(self) -> bytes:
        """What LitData writes before the values."""
        rank = len(self.shape)
        return struct.pack(f">II{rank}I", CODES[self.dtype], rank, *self.shape)

    @property
    def size(self) -> int:
        """Bytes, with the head."""
        return len(self.head) + prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Layout:
    """The tensors of each row, by name, in the order in which they lie in a shard."""

    fields: Mapping[str, Field]

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return sum(WORD + field.size for field in self.fields.values())

    def begin(self, name: str) -> int:
        """Where a tensor begins in its row, in bytes."""
        names = list(self.fields)
        return WORD * len(names) + sum(self.fields[before].size for before in names[: names.index(name)])

    def head(self, rows: int) -> bytes:
        """The head of a shard of so many rows."""
        first = WORD * (rows + 2)
        begins = first + self.row * np.arange(rows + 1, dtype=np.int64)
        return struct.pack("<I", rows) + begins.astype("<u4").tobytes()

    def shard(self, rows: int) -> int:
        """Bytes of a shard of so many rows."""
        return WORD * (rows + 2) + rows * self.row

    def rows_in(self, size: int) -> int:
        """The most rows that a shard of so many bytes has; at least one."""
        return max(1, (size - 2 * WORD) // (self.row + WORD))
