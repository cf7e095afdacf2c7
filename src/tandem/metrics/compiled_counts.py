"""Histograms in a single read of the inputs, by a loop that numba compiles, where numba is installed."""

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.metrics.threshold_index import Buckets
from tandem.utils.optional import how_to_install

log = logging.getLogger(__name__)

PAYS = 1 << 28
"""Pixels that a process counts before it compiles the loop. About here the seconds that the loop would have saved equal
those of importing numba and compiling, so that no process loses more than twice what the better choice costs."""

Loop = Callable[..., None]


class CompiledCounts:
    """The loop, compiled once in a process, as soon as this pays.

    It is not kept on disk: numba keeps compiled code as pickles, and tandem reads none.
    """

    def __init__(self) -> None:
        self.pixels = 0
        self.failed = False
        self.loop: Loop | None = None

    def ready(self, p: Tensor) -> bool:
        """Whether the loop counts this batch: it lies on a CPU, enough pixels were counted, and numba could compile.

        If numba cannot, this is logged once.
        """
        if p.device.type != "cpu" or self.failed:
            return False
        self.pixels += p.numel()
        if self.loop is None and self.pixels > PAYS:
            self._compile()
        return self.loop is not None

    def count(self, keys: Tensor, target: Tensor, buckets: Buckets, kinds: int) -> Tensor:
        """Counts the pixels of each row by kind and bucket.

        Args:
            keys: (R, L) int32, of `buckets.keys`.
            target: (R, L) uint8; its value plus 1, which for 255 is 0, is its kind, the last one if it is larger.
            buckets: of the thresholds.
            kinds: number of kinds.

        Returns:
            (R, kinds * buckets.size) int64.
        """
        counts = torch.zeros(len(keys), kinds * buckets.size, dtype=torch.int64)
        offsets = np.minimum(np.arange(1, 257) % 256, kinds - 1).astype(np.uint32) * np.uint32(buckets.size)
        parts = keys.numpy().view(np.uint32), target.numpy(), buckets.tables.numpy().view(np.uint32)
        assert self.loop is not None
        self.loop(*parts, offsets, np.uint32(buckets.shift), counts.numpy())
        return counts

    def _compile(self) -> None:
        """Compiles the loop, or logs why not."""
        self.failed = True
        try:
            self.loop = compiled_loop()
            self.failed = False
        except ModuleNotFoundError as error:
            log.info("thresholds are counted without %s, which is quicker; %s", error.name, how_to_install("numba"))
        except Exception as error:  # whatever is wrong with numba, its LLVM or its numpy: counts do not depend on it
            reason = " ".join(str(error).split())
            log.warning("thresholds are counted without numba, which is quicker: it cannot compile (%s)", reason[:300])


COMPILED = CompiledCounts()
"""That of this process."""


def compiled_loop() -> Loop:
    """`count_rows`, compiled for the types of its arguments."""
    from numba import njit

    loop: Loop = njit(nogil=True)(count_rows)
    none = np.zeros((0, 0), np.uint32)
    loop(none, none.astype(np.uint8), none, none.ravel(), np.uint32(0), none.astype(np.int64))
    return loop


def count_rows(
    keys: npt.NDArray[np.uint32],
    targets: npt.NDArray[np.uint8],
    tables: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.uint32],
    shift: np.uint32,
    counts: npt.NDArray[np.int64],
) -> None:
    """Adds to `counts`, reading each key and target once; see `Buckets` for the tables.

    Unsigned, since a compiled loop checks a signed index for being negative.

    Args:
        keys: (R, L) bits of the probabilities.
        targets: (R, L).
        tables: (layers, cells).
        offsets: (256,) first bin of the kind of each target.
        shift: trailing bits of a key within a cell.
        counts: (R, bins).
    """
    half = np.uint32(tables.shape[1] // 2)  # the first half of a table is for negative numbers
    for row in range(len(keys)):
        key_row, target_row, found = keys[row], targets[row], counts[row]
        for column in range(len(key_row)):
            key = key_row[column]
            cell = (key >> shift) ^ half
            bucket = np.uint32(tables[0, cell] + key) >> shift
            for layer in range(1, len(tables)):
                bucket += np.uint32(tables[layer, cell] + key) >> shift
            found[bucket + offsets[target_row[column]]] += 1
