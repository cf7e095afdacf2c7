"""Where decoded pictures live: in memory where they fit, else on disk, else nowhere, decoded again for each batch.

All three are indexed alike, a whole batch in one operation.
"""

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.errors import ConfigError

CHUNK = 2**22
"""Bytes that are looked at in one go, so that going through all pictures needs no second copy of them."""

FREE_SHARE = 0.5
"""Of the free memory, the share that decoded pictures may take unless a limit is given."""

CGROUP = Path("/sys/fs/cgroup")

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Storage:
    """Where decoded pictures are kept.

    Attributes:
        cache: folder of the disk cache; None for the default.
        memory_gb: decoded pictures that need more than so many GB (1e9 bytes) stay on disk; None for half of the memory
            that is free.

    Raises:
        ConfigError: a limit below 0.
    """

    cache: str | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot work, before any file is touched."""
        if self.memory_gb is not None and not 0 <= self.memory_gb < float("inf"):
            raise ConfigError(f"data.memory_gb is {self.memory_gb!r}, but must be a number of GB from 0, or null")

    @property
    def limit(self) -> float:
        """Bytes that decoded pictures may take in memory, now."""
        return FREE_SHARE * free_memory() if self.memory_gb is None else 1e9 * self.memory_gb


def free_memory() -> int:
    """Bytes that can still be had: what the machine has free, or the container, if that is less."""
    free = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if (machine := Path("/proc/meminfo")).is_file():
        lines = dict(line.split(":") for line in machine.read_text().splitlines())
        free.append(1024 * int(lines["MemAvailable"].split()[0]))
    most, used, caches = (CGROUP / name for name in ("memory.max", "memory.current", "memory.stat"))
    if all(file.is_file() for file in (most, used, caches)) and (limit := most.read_text().strip()) != "max":
        counts = dict(line.split() for line in caches.read_text().splitlines())
        free.append(int(limit) - int(used.read_text()) + int(counts.get("inactive_file", 0)))
    return max(0, min(free))


class Stored(ABC):
    """Rows of a uint8 array, fetched when they are asked for; indexed like the tensor that it stands for.

    Args:
        rows: (N,) places in what is stored, in the order of the rows.
        of_row: shape of one row.
    """

    dtype: ClassVar[torch.dtype] = torch.uint8

    def __init__(self, rows: Indices, of_row: tuple[int, ...]) -> None:
        self.rows = rows
        self.shape = torch.Size((len(rows), *of_row))

    @property
    def ndim(self) -> int:
        """Dimensions, with that of the rows."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Tensor:
        """The rows that an integer, a slice, `...`, a list or a tensor of indices means, as a tensor of its own."""
        wanted = self.rows[index.numpy() if isinstance(index, Tensor) else index]
        found = torch.from_numpy(self.fetch(np.atleast_1d(wanted)))
        return found if np.ndim(wanted) else found[0]

    def pick(self, index: Tensor) -> "Stored":
        """Some rows, in the order given; nothing is fetched."""
        chosen = object.__new__(type(self))
        chosen.__dict__.update(self.__dict__)
        Stored.__init__(chosen, self.rows[index.numpy()], tuple(self.shape[1:]))
        return chosen

    @abstractmethod
    def fetch(self, rows: Indices) -> NDArray[np.uint8]:
        """(n, ...) what is stored at some places, in memory of its own."""


class Mapped(Stored):
    """Rows of an array in a file, of which only those that are asked for are in memory, and only while they are copied.

    In other processes, the file is opened anew.

    Args:
        path: the file.
        offset: byte at which the array begins, in C order.
        shape: of the whole array.
        rows: (N,) which of its rows; None for all.
    """

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], rows: Indices | None = None) -> None:
        super().__init__(np.arange(shape[0]) if rows is None else rows, shape[1:])
        self.path, self.offset, self.whole = path, offset, shape
        self._open()

    def _open(self) -> None:
        with self.path.open("rb") as file:
            self.pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        count = int(np.prod(self.whole))
        self.array = np.frombuffer(self.pages, np.uint8, count, self.offset).reshape(self.whole)

    def __getstate__(self) -> dict[str, Any]:
        """Without the mapping, which belongs to this process."""
        return {key: value for key, value in self.__dict__.items() if key not in ("pages", "array")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens the file again."""
        self.__dict__.update(state)
        self._open()

    def fetch(self, rows: Indices) -> NDArray[np.uint8]:
        """A copy of some rows; the pages that they lie in are then left to the system's cache."""
        found: NDArray[np.uint8] = self.array[rows]
        if hasattr(mmap, "MADV_DONTNEED"):
            self.pages.madvise(mmap.MADV_DONTNEED)
        return found


class Redecoded(Stored):
    """Rows that are decoded whenever they are asked for: the last resort, where neither memory nor disk has room.

    Args:
        decode: places to (n, ...) uint8.
        rows: (N,) places.
        of_row: shape of one row.
    """

    def __init__(self, decode: Callable[[Indices], NDArray[np.uint8]], rows: Indices, of_row: tuple[int, ...]) -> None:
        super().__init__(rows, of_row)
        self.decode = decode

    def fetch(self, rows: Indices) -> NDArray[np.uint8]:
        """Decodes some rows."""
        return self.decode(rows)


class Joined(Stored):
    """Rows of several parts as one, some of which may be in memory.

    Args:
        parts: with rows of one shape, in memory or not.
    """

    def __init__(self, parts: Sequence[Tensor]) -> None:
        lengths = [len(part) for part in parts]
        super().__init__(np.arange(sum(lengths)), tuple(parts[0].shape[1:]))
        self.parts = list(parts)
        self.starts = np.cumsum([0, *lengths])

    def fetch(self, rows: Indices) -> NDArray[np.uint8]:
        """Gathers some rows, part by part."""
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for part, start, end in zip(self.parts, self.starts, self.starts[1:], strict=False):
            here = (rows >= start) & (rows < end)
            if here.any():
                found[here] = part[torch.from_numpy(rows[here] - start)].numpy()
        return found


def as_tensor(stored: Stored) -> Tensor:
    """The same object under the type of what it stands for, of which most code needs no more than some rows."""
    return cast(Tensor, stored)


def pick(pixels: Tensor, index: Tensor) -> Tensor:
    """Some rows, in the order given; what is not in memory stays where it is."""
    return as_tensor(pixels.pick(index)) if isinstance(pixels, Stored) else pixels[index]


def join(parts: Sequence[Tensor]) -> Tensor:
    """Rows of several parts as one; in memory, if all of them are."""
    return as_tensor(Joined(parts)) if any(isinstance(part, Stored) for part in parts) else torch.cat(list(parts))


def chunks(pixels: Tensor) -> Iterator[Tensor]:
    """All rows, a few of them at a time."""
    rows = rows_at_once(pixels.shape[1:])
    for start in range(0, len(pixels), rows):
        yield pixels[start : start + rows]


def rows_at_once(of_row: Sequence[int]) -> int:
    """Rows of a shape that make a chunk, at least one."""
    return max(1, CHUNK // max(1, int(np.prod(of_row))))
