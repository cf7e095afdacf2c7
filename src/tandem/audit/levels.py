"""The levels that the images of a data set use, as their files have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from tandem.data.batch import MISSING_LABEL
from tandem.data.files.levels import quantiles
from tandem.data.files.raster import BYTE
from tandem.data.loading.storage import Joined, as_tensor, chunks, pick

if TYPE_CHECKING:
    from torch import Tensor

    from tandem.data.samples import Samples

BINS = 64
SHARES = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class LevelFacts:
    """The levels of the images that share black and white, at the size used in training.

    Attributes:
        deep: whether their files have more than 8 bits per channel.
        ends: the levels that become black and white.
        images: number of images.
        by_class: number of images of each class.
        quantiles: the levels at `SHARES`; the first and last are the least and the largest level.
        whole: whether the files hold unsigned whole numbers.
        edges: `BINS` + 1 edges of the histogram.
        counts: number of values in each bin.
    """

    deep: bool
    ends: tuple[float, float]
    images: int
    by_class: Mapping[str, int]
    quantiles: tuple[float, ...]
    whole: bool
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def bits(self) -> int | None:
        """Number of bits that the largest level needs; None for signed and float levels."""
        return max(1, int(self.quantiles[-1]).bit_length()) if self.whole else None


def levels_of(splits: Mapping[str, "Samples"], classes: Sequence[str]) -> tuple[LevelFacts, ...]:
    """Collects the levels in use, with a few images in memory at a time; 8-bit images first."""
    images = as_tensor(Joined([samples.images for samples in splits.values()]))
    labels = torch.cat([samples.labels for samples in splits.values()])
    byte = torch.tensor(BYTE)
    ends = torch.cat([byte.expand(len(s), 2) if s.levels is None else s.levels for s in splits.values()])
    found = []
    for pair in torch.unique(ends, dim=0):
        rows = (ends == pair).all(1).nonzero()[:, 0]
        of_pair, named = pick(images, rows), labels[rows]
        counted = {name: int((named == index).sum()) for index, name in enumerate(classes)}
        if missing := int((named == MISSING_LABEL).sum()):
            counted["unknown"] = missing
        found.append(_facts(of_pair, (float(pair[0]), float(pair[1])), counted))
    return tuple(sorted(found, key=lambda facts: (facts.deep, facts.ends)))


def _facts(images: "Tensor", ends: tuple[float, float], by_class: Mapping[str, int]) -> LevelFacts:
    deep = images.dtype != torch.uint8 and ends != BYTE
    marks = quantiles(images, SHARES)
    low, high = (marks[0], marks[-1]) if deep else (0.0, 256.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts = np.zeros(BINS, np.int64)
    for part in chunks(images):
        counts += np.histogram(part.float().numpy(), edges)[0]
    return LevelFacts(deep, ends, len(images), by_class, marks, images.dtype != torch.float32, edges, counts)
