"""Images or masks in shards, of which the requested rows alone are read."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.batch import MISSING_PIXEL
from tandem.data.loading.storage import Indices, Pixels, Shards, Stored
from tandem.data.shards.layout import KINDS, Layout
from tandem.data.shards.row_loader import dataset
from tandem.errors import DataError
from tandem.utils.optional import load


@dataclass(frozen=True)
class ShardedSplit:
    """The shards of a split.

    Attributes:
        folder: that they lie in.
        layout: of their rows.
        begins: first row of each shard, and the number of all.
        digest: of all shards.
        at_once: see `tandem.data.loading.storage.Shards`.
    """

    folder: Path
    layout: Layout
    begins: NDArray[np.int64]
    digest: str
    at_once: int


class ShardedPixels(Stored):
    """One tensor of each row; LitData's dataset of it is opened anew in each process.

    Args:
        split: the shards.
        name: of the tensor.
        rows: (N,) place of each row in the order of the shards.
        unknown: (N,) which rows are masks without a known pixel, in the order of the shards; None for images.
        values: number of values of a mask; None for images.
    """

    checked = True

    def __init__(
        self,
        split: ShardedSplit,
        name: str,
        rows: Indices,
        unknown: NDArray[np.bool_] | None = None,
        values: int | None = None,
    ) -> None:
        field = split.layout.fields[name]
        super().__init__(rows, field.shape, field.dtype)
        self.split, self.name, self.values, self._unknown = split, name, values, unknown
        self._data: Any = None
        self._process = 0

    @property
    def identity(self) -> bytes:
        """Follows from the digests of the shards and from which rows these are."""
        parts = (self.split.digest.encode(), self.name.encode(), self.rows.astype("<i8").tobytes())
        return hashlib.sha256(b"|".join(parts)).digest()

    @property
    def unknown(self) -> NDArray[np.bool_] | None:
        """As it was written beside the shards."""
        return None if self._unknown is None else self._unknown[self.rows]

    @property
    def shards(self) -> Shards:
        """Where the rows lie."""
        return Shards(self._shards(self.rows), self.split.at_once)

    def _shards(self, rows: Indices) -> Indices:
        return np.searchsorted(self.split.begins, rows, side="right") - 1

    def fetch(self, rows: Indices) -> Pixels:
        """Reads some rows, in the order in which they lie in the shards.

        Raises:
            DataError: a shard cannot be read, or a mask has a value that is none of its classes.
        """
        data, shards = self._opened(), self._shards(rows)
        place_of = load("litdata.streaming.sampler", "streamed", "data=streamed").ChunkedIndex
        found = np.empty((len(rows), *self.shape[1:]), KINDS[self.dtype])
        for place in np.argsort(rows).tolist():
            found[place] = data[place_of(int(rows[place]), int(shards[place]))]
        if self.values is not None and bool(((found >= self.values) & (found != MISSING_PIXEL)).any()):
            allowed = "0, 1" if self.values == 2 else f"0 to {self.values - 1}"
            raise DataError(f"a mask in {self.split.folder} holds other values than {allowed} and 255 (missing)")
        return found

    def _opened(self) -> Any:
        if self._data is None or self._process != os.getpid():
            self._data, self._process = dataset(self.split.folder, self.split.layout, self.name), os.getpid()
        return self._data

    def __getstate__(self) -> dict[str, Any]:
        """Without the dataset, which belongs to this process."""
        return {**self.__dict__, "_data": None}
