"""Whole images at the scale of their squares: decoded once into a cache of their own, and cut from there."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.cache import Arrays, fetch
from tandem.data.files.images import read_raster
from tandem.data.files.masks import unite
from tandem.data.files.placement import WHOLES, Placement
from tandem.data.files.raster import fit
from tandem.data.loading.storage import Mapped
from tandem.errors import DataError

if TYPE_CHECKING:
    from tandem.data.files.records import Decoder, Record

log = logging.getLogger(__name__)


class WholeFiles:
    """The whole images of records with their masks, one after the other in one file; nothing is read before `open`.

    Args:
        decoder: what decodes the squares of the same files.
        records: the records.
        extents: (N, 2), height and width of each file.
        squares: the cache file of the squares, whose name depends on all that theirs does.
        limit: bytes of memory that the images may take.
    """

    def __init__(
        self, decoder: "Decoder", records: Sequence["Record"], extents: NDArray[np.int64], squares: Path, limit: float
    ) -> None:
        self.decoder, self.records, self.limit = decoder, tuple(records), limit
        self.foreground = decoder.crops.foreground if decoder.crops else 0.0
        how = WHOLES[decoder.fit]
        self.places = [Placement(how, height, width, decoder.size) for height, width in extents.tolist()]
        counts = [rows * columns for rows, columns in (place.cells for place in self.places)]
        self.starts = np.cumsum([0, *counts])
        name, _, known = squares.stem.rpartition("-")
        self.path = squares.with_name(f"{name}-{hashlib.sha256(f'{known}|whole'.encode()).hexdigest()}.npz")
        self.stored: dict[str, Mapped] | None = None
        self.opened = False

    def open(self) -> None:
        """Maps the cache file; decodes all files first if there is none."""
        if self.opened:
            return
        total, dtype = int(self.starts[-1]), self.decoder.dtype(self.records)
        shapes = {"images": (total * self.decoder.channels,), "masks": (total * self.decoder.mask_depth,)}
        self.stored = fetch(self.path, shapes, lambda: self._parts(dtype))
        bytes_ = total * (self.decoder.channels * dtype.itemsize + self.decoder.mask_depth)
        for array in (self.stored or {}).values():
            array.release = bytes_ > self.limit
        where = f"read from {self.path}" if self.stored else "DECODED FOR EACH BATCH: slow"
        log.info("whole images for random crops: %d, %.3g GB decoded, %s", len(self.records), bytes_ / 1e9, where)
        self.opened = True

    def __getitem__(self, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The image, (C, h, w), and the masks, (K, h, w).

        Raises:
            DataError: a file that has to be decoded again has changed.
        """
        self.open()
        if self.stored is None:
            return self._decode(row)
        (start, end), size = self.starts[row : row + 2], self.places[row].cells
        parts = (("images", self.decoder.channels), ("masks", self.decoder.mask_depth))
        image, masks = (
            self.stored[name].array[depth * start : depth * end].reshape(depth, *size) for name, depth in parts
        )
        return image, masks

    def release(self) -> None:
        """Frees the pages that rows took, if all images need more memory than they may take."""
        for array in (self.stored or {}).values():
            array.let_go()

    def _parts(self, dtype: np.dtype[Any]) -> Iterator[Arrays]:
        """The arrays of the cache, an image at a time; at least one part."""
        yield {"images": np.zeros(0, dtype), "masks": np.zeros(0, np.uint8)}
        for row in range(len(self.records)):
            image, masks = self._decode(row)
            yield {"images": image.astype(dtype, copy=False), "masks": masks}

    def _decode(self, row: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        decoder, record, place = self.decoder, self.records[row], self.places[row]
        raster = read_raster(record.image, decoder.options)
        if raster.pixels.shape[:2] != (place.height, place.width):
            raise DataError(f"{record.shown!r} changed while the data were in use: restore it, and rerun to resume")
        masks = np.full((decoder.mask_depth, *place.cells), MISSING_PIXEL, dtype=np.uint8)
        for channel, paths in enumerate(record.masks):
            if paths is not None:
                masks[channel] = place.mask(unite(paths, raster.size, decoder.values, raster.orientation)[0])
        return fit(raster, decoder.size, decoder.channels, place.fit), masks
