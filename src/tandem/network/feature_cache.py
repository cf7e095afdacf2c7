"""Features of a frozen encoder: each image's are computed once, and used again by later epochs and later runs.

An image is known by the digest of its values as the encoder gets them, and an encoder by the digest of its weights and
settings. So features are never taken for another image or another encoder, and no list of images has to be kept.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tandem.data.loading.storage import FREE_SHARE, free_memory
from tandem.distributed.world import world
from tandem.network.dry_run import used

log = logging.getLogger(__name__)

Row = dict[int, Tensor]
"""Maps of one image, (1, C, h, w) each, by their place in the encoder's list."""


@dataclass
class Store:
    """Features of one encoder, for images of one size.

    Attributes:
        rows: maps by digest of the image.
        shapes: of each map in the encoder's list, for one image; empty until the first image.
        passed: places in the list where the encoder returns the image itself, which is not kept.
        size: bytes of all rows.
    """

    rows: dict[bytes, Row] = field(default_factory=dict)
    shapes: list[torch.Size] = field(default_factory=list)
    passed: frozenset[int] = frozenset()
    size: int = 0


_STORES: OrderedDict[tuple[Any, ...], Store] = OrderedDict()
"""All features of this process, by encoder and circumstances; the one that was used last comes last."""


def forget() -> None:
    """Frees the memory of all features."""
    _STORES.clear()


def kept_bytes() -> int:
    """Bytes of all features of this process."""
    return sum(store.size for store in _STORES.values())


def row_bytes(row: Row) -> int:
    """Bytes of the maps of one image."""
    return sum(level.nbytes for level in row.values())


class FeatureCache:
    """Calls a frozen encoder, once for each image.

    An image's features are computed alone, not in its batch, so that they do not depend on the images beside it: a
    resumed run and the second run of a sweep have the numbers of an unbroken and a first one. Against a run without
    the cache they may differ by rounding. Maps that the decoder does not read are not kept.

    Images of which a gradient is wanted, those of a trace, and all images while the encoder is in training mode go
    through the encoder as they do without the cache.

    Args:
        settings: what distinguishes encoders of equal weights, such as the options of the model.

    Attributes:
        limit: bytes that all features of this process may take: half of the memory that is free, shared by the
            processes of this machine.
    """

    def __init__(self, settings: str) -> None:
        self.settings = settings
        self.limit = FREE_SHARE * (free_memory() + kept_bytes()) / world().here
        self._weights: tuple[tuple[int, int], ...] = ()
        self._encoder = ""
        self._reads: Sequence[bool] = ()  # of each map in the list, whether decoder or heads read it

    def __call__(self, encoder: nn.Module, decoder: nn.Module | None, image: Tensor) -> list[Tensor]:
        """The list of maps of an encoder in evaluation mode.

        Args:
            encoder: maps (N, C, H, W) to a list of maps.
            decoder: reads the list; None: only the last map is read.
            image: (N, C, H, W), as the encoder takes it.
        """
        if encoder.training or image.is_meta or image.requires_grad or torch.compiler.is_compiling():
            return list(encoder(image))
        store = self._store(encoder, image)
        if store.shapes and not self._reads:
            self._learn(decoder, [torch.empty(shape, device="meta") for shape in store.shapes])
        rows = [self._row(encoder, decoder, store, image[index : index + 1]) for index in range(len(image))]
        return [self._level(place, rows, store, image) for place in range(len(store.shapes))]

    def bytes_of(self, encoder: nn.Module, decoder: nn.Module | None, image: Tensor) -> int:
        """Bytes that the features of one image take.

        Args:
            encoder: see `__call__`.
            decoder: see `__call__`.
            image: (1, C, H, W).
        """
        return row_bytes(self._row(encoder, decoder, Store(), image))

    def _store(self, encoder: nn.Module, image: Tensor) -> Store:
        """The store of an encoder, device, precision and size of image."""
        weights = tuple((tensor.data_ptr(), tensor._version) for tensor in _tensors(encoder))
        if weights != self._weights:  # they were loaded or moved
            self._weights, self._encoder = weights, _digest(encoder, self.settings)
        device = image.device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else image.dtype
        key = (self._encoder, device, precision, image.dtype, tuple(image.shape[1:]))
        store = _STORES.setdefault(key, Store())
        _STORES.move_to_end(key)
        return store

    def _row(self, encoder: nn.Module, decoder: nn.Module | None, store: Store, image: Tensor) -> Row:
        """The maps of one image, from the store or computed."""
        key = hashlib.blake2b(image.detach().cpu().contiguous().numpy().data, digest_size=16).digest()
        found = store.rows.get(key, {})
        if self._reads and all(place in found for place in self._kept(store)):
            return found
        with torch.inference_mode(False), torch.no_grad():  # a tensor of inference mode cannot be trained on later
            given = image.clone()
            levels = list(encoder(given))
            store.shapes = [level.shape for level in levels]
            store.passed = frozenset(place for place, level in enumerate(levels) if level is given)
            if not self._reads:
                self._learn(decoder, levels)
            row = {**found, **{place: levels[place].cpu() for place in self._kept(store)}}
        more = row_bytes(row) - row_bytes(found)
        if self._make_room(store, more):
            store.rows[key] = row
            store.size += more
        return row

    def _learn(self, decoder: nn.Module | None, levels: list[Tensor]) -> None:
        """Finds out which maps are read; the heads read the last one."""
        read = [False] * len(levels) if decoder is None else used(decoder, levels)
        self._reads = [*read[:-1], True]

    def _kept(self, store: Store) -> list[int]:
        return [place for place, read in enumerate(self._reads) if read and place not in store.passed]

    def _level(self, place: int, rows: Sequence[Row], store: Store, image: Tensor) -> Tensor:
        """One map of a batch; one that nobody reads has its shape alone."""
        if place in store.passed:
            return image
        if not self._reads[place]:
            return image.new_zeros(()).expand(len(image), *store.shapes[place][1:])
        return torch.cat([row[place] for row in rows]).to(image.device)

    def _make_room(self, store: Store, more: int) -> bool:
        """Drops the features of other encoders until there is room, the oldest first; false if that is not enough."""
        while kept_bytes() + more > self.limit:
            oldest = next(iter(_STORES.values()), store)
            if oldest is store:
                return False
            log.info("features of an earlier run, %.2f GB, are dropped", oldest.size / 1e9)
            _STORES.popitem(last=False)
        return True


def _tensors(encoder: nn.Module) -> list[Tensor]:
    return [*encoder.parameters(), *encoder.buffers()]


def _digest(encoder: nn.Module, settings: str) -> str:
    """Identifies an encoder by its layers, weights and settings."""
    found = hashlib.blake2b(f"{settings}\n{encoder!r}".encode(), digest_size=16)
    for tensor in _tensors(encoder):
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
