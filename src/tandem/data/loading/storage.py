"""Storage of decoded images: in memory if they fit, else on disk, else not at all and decoded again for each batch.

Several processes of one machine map the file on disk, whose pages they share, instead of a copy each in memory. All
three are indexed in the same way, a whole batch in one operation.
"""

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.errors import ConfigError
from tandem.utils.machine import total_memory

CHUNK = 2**22
"""Bytes processed at once, so that an iteration over all images needs no second copy of them."""

UNKNOWN_MEMORY = 4_000_000_000
"""Bytes that are taken for free where the system does not say; `data.memory_gb` overrules it."""

FREE_SHARE = 0.5
"""Share of the free memory that decoded images may use if no limit is given."""

CGROUP = Path("/sys/fs/cgroup")

Indices = NDArray[np.int64]
Pixels = NDArray[Any]

BYTES: np.dtype[Any] = np.dtype(np.uint8)

WIDTHS = (torch.uint8, torch.uint16, torch.float32)
"""The dtypes of pixels, each of which holds the values of those before it."""


@dataclass(frozen=True)
class Storage:
    """Where decoded images are kept.

    Attributes:
        cache: folder of the disk cache; None for the default.
        memory_gb: decoded images that need more than this many GB (1e9 bytes) stay on disk; None for half of the free
            memory.

    Raises:
        ConfigError: the limit is below 0.
    """

    cache: str | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        """Checks the options before any file is read."""
        if self.memory_gb is not None and not 0 <= self.memory_gb < float("inf"):
            raise ConfigError(f"data.memory_gb is {self.memory_gb!r}, but must be a number of GB from 0, or null")

    @property
    def limit(self) -> float:
        """Bytes of memory that decoded images may use now."""
        return FREE_SHARE * free_memory() if self.memory_gb is None else 1e9 * self.memory_gb


def free_memory() -> int:
    """Returns the available memory in bytes: that of the machine, or of the container (cgroup) if it is less."""
    free = [total_memory() or UNKNOWN_MEMORY]
    if (machine := Path("/proc/meminfo")).is_file():
        lines = dict(line.split(":") for line in machine.read_text().splitlines())
        free.append(1024 * int(lines["MemAvailable"].split()[0]))
    most, used, caches = (CGROUP / name for name in ("memory.max", "memory.current", "memory.stat"))
    if all(file.is_file() for file in (most, used, caches)) and (limit := most.read_text().strip()) != "max":
        counts = dict(line.split() for line in caches.read_text().splitlines())
        free.append(int(limit) - int(used.read_text()) + int(counts.get("inactive_file", 0)))
    return max(0, min(free))


@dataclass(frozen=True)
class Shards:
    """Where rows lie that are best read file by file.

    Attributes:
        of_row: (N,) number of the file of each row.
        at_once: of so many files together, an epoch takes the rows in any order, before it goes on to others.
    """

    of_row: Indices
    at_once: int


class Stored(ABC):
    """Rows of an array, fetched on demand; it is indexed like the tensor that it represents.

    Args:
        rows: (N,) position of each row in the storage.
        of_row: shape of one row.
        dtype: of the pixels: uint8, uint16 or float32.

    Attributes:
        checked: whether the values of masks are checked whenever they are fetched, and need no check before.
    """

    checked = False

    def __init__(self, rows: Indices, of_row: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> None:
        self.rows = rows
        self.shape = torch.Size((len(rows), *of_row))
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions, including that of the rows."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Tensor:
        """Returns a new tensor of the rows that an integer, a slice, `...`, a list or a tensor of indices selects."""
        wanted = self.rows[index.numpy() if isinstance(index, Tensor) else index]
        found = torch.from_numpy(self.fetch(np.atleast_1d(wanted)))
        return found if np.ndim(wanted) else found[0]

    def pick(self, index: Tensor) -> "Stored":
        """Selects some rows, in the given order, without fetching them."""
        chosen = object.__new__(type(self))
        chosen.__dict__.update(self.__dict__)
        Stored.__init__(chosen, self.rows[index.numpy()], tuple(self.shape[1:]), self.dtype)
        return chosen

    @property
    def identity(self) -> bytes | None:
        """A digest that stands for all pixels in a fingerprint; None where they have to be read for it."""
        return None

    @property
    def unknown(self) -> NDArray[np.bool_] | None:
        """Which rows are masks without a known pixel, (N,); None where they have to be read to find out."""
        return None

    @property
    def shards(self) -> "Shards | None":
        """In which file each row lies, where rows of one file are best read together; None where the order is free."""
        return None

    @abstractmethod
    def fetch(self, rows: Indices) -> Pixels:
        """Returns what is stored at some positions, (n, ...), as a copy."""


class Mapped(Stored):
    """Rows of a memory-mapped array; only requested rows are in memory, and only while they are copied.

    Other processes open the file again.

    Args:
        path: the file.
        offset: byte offset of the array's data, in C order.
        shape: shape of the whole array.
        dtype: of the array.

    Attributes:
        release: whether pages leave the process's memory after each fetch. Pages that stay are those of the system's
            cache, which all processes share.
    """

    release = True

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any] = BYTES) -> None:
        super().__init__(np.arange(shape[0]), shape[1:], torch.from_numpy(np.empty(0, dtype)).dtype)
        self.path, self.offset, self.whole, self.of_file = path, offset, shape, dtype
        self._open()

    def _open(self) -> None:
        with self.path.open("rb") as file:
            self.pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        count = int(np.prod(self.whole))
        self.array = np.frombuffer(self.pages, self.of_file, count, self.offset).reshape(self.whole)

    def __getstate__(self) -> dict[str, Any]:
        """Excludes the mapping, which belongs to this process."""
        return {key: value for key, value in self.__dict__.items() if key not in ("pages", "array")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens the file again."""
        self.__dict__.update(state)
        self._open()

    def fetch(self, rows: Indices) -> Pixels:
        """Copies some rows and then releases their memory pages to the system's cache."""
        found: Pixels = self.array[rows]
        self.let_go()
        return found

    def let_go(self) -> None:
        """Releases the pages that were read, if `release` says so."""
        if self.release and hasattr(mmap, "MADV_DONTNEED"):
            self.pages.madvise(mmap.MADV_DONTNEED)


class Redecoded(Stored):
    """Rows that are decoded on every access: the last resort if neither memory nor disk has room.

    Args:
        decode: returns (n, ...) for n positions.
        rows: (N,) position of each row.
        of_row: shape of one row.
        dtype: what `decode` returns.
    """

    def __init__(
        self,
        decode: Callable[[Indices], Pixels],
        rows: Indices,
        of_row: tuple[int, ...],
        dtype: torch.dtype = torch.uint8,
    ) -> None:
        super().__init__(rows, of_row, dtype)
        self.decode = decode

    def fetch(self, rows: Indices) -> Pixels:
        """Decodes some rows."""
        return self.decode(rows)


class Joined(Stored):
    """Concatenated rows of several parts, some of which may be in memory.

    Args:
        parts: parts with rows of the same shape, in memory or not, of any dtypes; the result has the widest.
    """

    def __init__(self, parts: Sequence[Tensor]) -> None:
        lengths = [len(part) for part in parts]
        super().__init__(np.arange(sum(lengths)), tuple(parts[0].shape[1:]), widest(parts))
        self.parts = list(parts)
        self.starts = np.cumsum([0, *lengths])

    def fetch(self, rows: Indices) -> Pixels:
        """Gathers some rows, part by part."""
        found = torch.empty((len(rows), *self.shape[1:]), dtype=self.dtype).numpy()
        for part, start, end in zip(self.parts, self.starts, self.starts[1:], strict=False):
            here = (rows >= start) & (rows < end)
            if here.any():
                found[here] = part[torch.from_numpy(rows[here] - start)].numpy()
        return found


def as_tensor(stored: Stored) -> Tensor:
    """Casts (for type checkers only) to Tensor, since most code only indexes rows."""
    return cast(Tensor, stored)


def pick(pixels: Tensor, index: Tensor) -> Tensor:
    """Selects some rows, in the given order; rows that are not in memory are not fetched."""
    return as_tensor(pixels.pick(index)) if isinstance(pixels, Stored) else pixels[index]


def join(parts: Sequence[Tensor]) -> Tensor:
    """Concatenates rows of several parts, of the widest of their dtypes; in memory if all parts are."""
    if any(isinstance(part, Stored) for part in parts):
        return as_tensor(Joined(parts))
    return torch.cat([part.to(widest(parts)) for part in parts])


def widest(parts: Sequence[Tensor]) -> torch.dtype:
    """Returns the dtype that holds the pixels of all parts: uint8, uint16 or float32, in this order."""
    return max((part.dtype for part in parts), key=WIDTHS.index)


def chunks(pixels: Tensor) -> Iterator[Tensor]:
    """Yields all rows, a few at a time."""
    rows = rows_at_once(pixels.shape[1:], pixels.dtype.itemsize)
    for start in range(0, len(pixels), rows):
        yield pixels[start : start + rows]


def rows_at_once(of_row: Sequence[int], itemsize: int = 1) -> int:
    """Returns the number of rows of a shape that make up a chunk, at least one."""
    return max(1, CHUNK // max(1, itemsize * int(np.prod(of_row))))
