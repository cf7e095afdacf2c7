"""How LitData's dataset reads a row from a shard: by its place. No serializer runs, so no pickle can be read.

It needs LitData, an extra; import it when shards are read.
"""

import logging
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from litdata import StreamingDataset
from litdata.streaming.item_loader import PyTreeLoader as LitDataLoader
from numpy.typing import NDArray

from tandem.data.shards.layout import KINDS, WORD, Layout
from tandem.errors import DataError

logging.getLogger("litdata").setLevel(logging.WARNING)  # it logs how it would read, in each process

OPEN = 32
"""Shards that are open at the same time, in each process."""

NO_LIMIT = "100GB"
"""Of LitData's copies of shards from elsewhere, of which there are none; without a number it logs one of its own."""


class PyTreeLoader(LitDataLoader):  # type: ignore[misc]  # LitData may be absent; its index asks for this name
    """Reads one tensor of each row; what lies before its values must be what a tensor of its shape has.

    Args:
        layout: of the rows.
        name: of the tensor.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__(batch_decode=0)
        field = layout.fields[name]
        self.layout, self.name, self.head = layout, name, field.head
        self.begin, self.size = layout.begin(name), field.size
        self.kind, self.shape = KINDS[field.dtype], field.shape
        self.files: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def setup(self, config: Any, chunks: Any, serializers: Any, *more: Any, **also: Any) -> None:
        """LitData hook: keeps the index and leaves out all serializers."""
        self._config, self._chunks = config, chunks
        self._data_format, self.region_of_interest = config["data_format"], None
        self._force_download_queue = None

    def load_item_from_chunk(
        self, index: int, chunk_index: int, chunk_filepath: str, begin: int, *more: Any, **also: Any
    ) -> NDArray[Any]:
        """LitData hook: the tensor of a row.

        Raises:
            DataError: the shard cannot be read, or another thing lies there.
        """
        file, first = self._opened(chunk_filepath, int(self._chunks[chunk_index]["chunk_size"]))
        try:
            content = _read(file, first + (index - begin) * self.layout.row + self.begin, self.size)
        except OSError as error:
            raise DataError(f"{chunk_filepath} cannot be read ({error.strerror}): copy the shard again") from error
        if len(content) != self.size or not content.startswith(self.head):
            raise DataError(
                f"{chunk_filepath} has no {self.name} of shape {self.shape} in row {index - begin}: it changed since "
                "the start, or is foreign; copy or write the shards again"
            )
        return np.frombuffer(content, self.kind, offset=len(self.head)).reshape(self.shape)

    def load_item_from_bytes(self, raw_bytes: bytes, chunk_index: int) -> Any:
        """LitData hook for rows that come from elsewhere, of which there are none."""
        raise DataError(f"{self.name} of shard {chunk_index} is no file of this machine: copy the shards")

    def _opened(self, path: str, rows: int) -> tuple[int, int]:
        """The open file of a shard, and where its first row begins."""
        if path not in self.files:
            while len(self.files) >= OPEN:
                os.close(self.files.popitem(last=False)[1][0])
            head = self.layout.head(rows)
            try:
                file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
            except OSError as error:
                raise DataError(f"{path} cannot be read ({error.strerror}): copy the shard again") from error
            self.files[path] = (file, WORD * (rows + 2))
            if _read(file, 0, len(head)) != head:
                raise DataError(f"{path} does not begin as a shard of {rows} rows does: copy or write the shards again")
        self.files.move_to_end(path)
        return self.files[path]

    def _close_open_chunk(self) -> None:
        """LitData hook: closes all shards."""
        while getattr(self, "files", None):
            os.close(self.files.popitem()[1][0])
        super()._close_open_chunk()


def _read(file: int, offset: int, size: int) -> bytes:
    """Some bytes of an open file; fewer at its end."""
    os.lseek(file, offset, os.SEEK_SET)
    parts = []
    while size > 0 and (part := os.read(file, size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def dataset(folder: Path, layout: Layout, name: str) -> StreamingDataset:
    """LitData's dataset of the tensors of one name, after the index was checked.

    Args:
        folder: of the split.
        layout: of its rows.
        name: of the tensor.
    """
    return StreamingDataset(str(folder.resolve()), item_loader=PyTreeLoader(layout, name), max_cache_size=NO_LIMIT)
