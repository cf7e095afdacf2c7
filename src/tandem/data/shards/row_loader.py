"""How LitData's dataset reads a row from a shard: by its place. No serializer runs, so no pickle can be read."""

import logging
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.shards.layout import KINDS, WORD, Layout
from tandem.errors import DataError
from tandem.utils.optional import load

OPEN = 32
"""Shards that are open at the same time, in each process."""

NO_LIMIT = "100GB"
"""Of LitData's copies of shards from elsewhere, of which there are none; without a number it logs one of its own."""


class RowReader:
    """Reads one tensor of each row; what lies before its values must be what a tensor of its shape has.

    Args:
        layout: of the rows.
        name: of the tensor.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        field = layout.fields[name]
        self.layout, self.name, self.head = layout, name, field.head
        self.begin, self.size = layout.begin(name), field.size
        self.kind, self.shape = KINDS[field.dtype], field.shape
        self.files: OrderedDict[str, int] = OrderedDict()

    def read(self, path: str, rows: int, row: int) -> NDArray[Any]:
        """The tensor of a row.

        Args:
            path: of the shard.
            rows: that it has.
            row: from 0.

        Raises:
            DataError: the shard cannot be read, or another thing lies there.
        """
        first = WORD * (rows + 2)
        try:
            content = _read(self._opened(path, rows), first + row * self.layout.row + self.begin, self.size)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): copy the shard again") from error
        if len(content) != self.size or not content.startswith(self.head):
            raise DataError(
                f"{path} has no {self.name} of shape {self.shape} in row {row}: it changed since the start, or is "
                "foreign; copy or write the shards again"
            )
        return np.frombuffer(content, self.kind, offset=len(self.head)).reshape(self.shape)

    def _opened(self, path: str, rows: int) -> int:
        if path not in self.files:
            while len(self.files) >= OPEN:
                os.close(self.files.popitem(last=False)[1])
            flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
            self.files[path] = os.open(path, flags)
            head = self.layout.head(rows)
            if _read(self.files[path], 0, len(head)) != head:
                raise DataError(f"{path} does not begin as a shard of {rows} rows does: copy or write the shards again")
        self.files.move_to_end(path)
        return self.files[path]

    def close(self) -> None:
        """Closes all shards."""
        while self.files:
            os.close(self.files.popitem()[1])


def _read(file: int, offset: int, size: int) -> bytes:
    """Some bytes of an open file; fewer at its end."""
    os.lseek(file, offset, os.SEEK_SET)
    parts = []
    while size > 0 and (part := os.read(file, size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def dataset(folder: Path, layout: Layout, name: str) -> Any:
    """LitData's dataset of the tensors of one name, after the index was checked; it is indexed by a `ChunkedIndex`.

    Args:
        folder: of the split.
        layout: of its rows.
        name: of the tensor.

    Raises:
        ConfigError: LitData is not installed.
    """
    streaming = load("litdata", "streamed", "data=streamed")
    logging.getLogger("litdata").setLevel(logging.WARNING)  # it logs how it would read, in each process
    return streaming.StreamingDataset(
        str(folder.resolve()), item_loader=_item_loader(RowReader(layout, name)), max_cache_size=NO_LIMIT
    )


def _item_loader(reader: RowReader) -> Any:
    """A loader of LitData's that reads rows by a reader; the index of the shards asks for the name of its class."""
    base = load("litdata.streaming.item_loader", "streamed", "data=streamed").PyTreeLoader

    class PyTreeLoader(base):  # type: ignore[misc, valid-type]  # LitData may be absent
        def setup(self, config: Any, chunks: Any, serializers: Any, *more: Any, **also: Any) -> None:
            """Keeps the index and leaves out all serializers."""
            self._config, self._chunks = config, chunks
            self._data_format, self.region_of_interest = config["data_format"], None
            self._force_download_queue = None

        def load_item_from_chunk(
            self, index: int, chunk_index: int, chunk_filepath: str, begin: int, *more: Any, **also: Any
        ) -> NDArray[Any]:
            return reader.read(chunk_filepath, int(self._chunks[chunk_index]["chunk_size"]), index - begin)

        def load_item_from_bytes(self, raw_bytes: bytes, chunk_index: int) -> Any:
            raise DataError(f"shard {chunk_index} is no file of this machine: copy the shards")

        def _close_open_chunk(self) -> None:
            reader.close()
            super()._close_open_chunk()

    return PyTreeLoader(batch_decode=0)
