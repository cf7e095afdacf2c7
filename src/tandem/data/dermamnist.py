"""DermaMNIST (HAM10000; Tschandl et al., 2018; Yang et al., 2023), or a stand-in of its shape where it is absent."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.loading.counter_rng import bits, keys, uniform
from tandem.data.medmnist import Arrays, MedMNIST
from tandem.data.samples import SPLITS
from tandem.errors import ConfigError

log = logging.getLogger(__name__)

COUNTS = {
    "train": (228, 359, 769, 80, 779, 4693, 99),
    "val": (33, 52, 110, 12, 111, 671, 14),
    "test": (66, 103, 220, 23, 223, 1341, 29),
}
"""Images of each class in the official splits."""

TRAITS = np.array(
    [  # radius, irregular, blurred, dark, red, patchy, pale centre
        [0.27, 0.50, 0.70, 0.25, 0.55, 0.45, 0.10],  # actinic keratoses
        [0.23, 0.35, 0.50, 0.30, 0.50, 0.60, 0.30],  # basal cell carcinoma
        [0.28, 0.40, 0.25, 0.40, 0.25, 0.45, 0.05],  # benign keratosis
        [0.18, 0.20, 0.50, 0.35, 0.35, 0.15, 0.60],  # dermatofibroma
        [0.30, 0.65, 0.40, 0.70, 0.20, 0.60, 0.05],  # melanoma
        [0.24, 0.20, 0.35, 0.50, 0.25, 0.20, 0.05],  # nevi
        [0.22, 0.30, 0.20, 0.45, 0.90, 0.35, 0.05],  # vascular lesions
    ]
)
"""What each class looks like on average; single images vary around it, so that similar classes overlap."""

SPREAD = np.array([0.05, 0.16, 0.16, 0.14, 0.14, 0.16, 0.14])
SKIN = np.array([0.86, 0.68, 0.60])
BLOBS = 7
PIXELS = 2**20
"""Pixels that are drawn at once, so that memory does not grow with the number of images."""

Floats = NDArray[np.float64]


class DermaMNIST(MedMNIST):
    """DermaMNIST: seven classes of pigmented skin lesions, 67 % of them nevi, in colour, with official splits.

    Without the file, a stand-in of the same shape: the same classes, counts, size and channels, with images drawn by a
    formula. It is for trying things out; its numbers say nothing about skin, and its name marks it.

    Args:
        stand_in: whether the stand-in is drawn.
        share: of the official counts that the stand-in has, in (0, 1]; each class keeps at least two images.
        seed: of the stand-in's images, from 0.
        shared: options of `MedMNIST`, without `flag`.

    Attributes:
        name: `dermamnist`, or `dermamnist-stand-in`.

    Raises:
        ConfigError: an argument out of range.
    """

    def __init__(self, *, stand_in: bool, share: float = 1.0, seed: int = 0, **shared: Any) -> None:
        super().__init__("dermamnist", **shared)
        if not 0 < share <= 1:
            raise ConfigError(f"data.share is {share!r}, but must lie in (0, 1]")
        if type(seed) is not int or seed < 0:
            raise ConfigError(f"data.seed is {seed!r}, but must be a whole number from 0")
        self.stand_in, self.share, self.seed = stand_in, share, seed
        if stand_in:
            self.name += "-stand-in"

    @property
    def formula(self) -> bool:
        """Whether the images follow from the options alone."""
        return self.stand_in

    def read(self) -> tuple[Path, Arrays]:
        """The official arrays, or those of the stand-in under an invented path."""
        if not self.stand_in:
            return super().read()
        log.warning(
            "data dermamnist: %s is absent, so a STAND-IN of its shape is drawn by a formula: its numbers say nothing "
            "about skin lesions (data.download=true fetches the file, data.file=FILE names it)", self._stem,
        )  # fmt: skip
        arrays: Arrays = {}
        for split in SPLITS:
            counts = [max(2, round(count * self.share)) for count in COUNTS[split]]
            labels = _shuffled(np.repeat(np.arange(len(counts)), counts), self.seed, split)
            arrays |= {f"{split}_images": draw(self.seed, split, labels, self.size), f"{split}_labels": labels[:, None]}
        return Path(f"{self.name}.npz"), arrays


def draw(seed: int, split: str, labels: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Images of synthetic lesions on skin; image i depends only on its label, the seed, the split, the size and i.

    A lesion is where a sum of overlapping bumps around its centre exceeds a limit; a class differs from others in size,
    irregularity, border, colour and patchiness, on average.

    Args:
        seed: of the images.
        split: train, val or test.
        labels: (N,) classes, 0 to 6.
        size: side in pixels.

    Returns:
        (N, size, size, 3) uint8, as MedMNIST's files have them.
    """
    rows = max(1, PIXELS // size**2)
    found = np.empty((len(labels), size, size, 3), np.uint8)
    for start in range(0, len(labels), rows):
        index = np.arange(start, min(start + rows, len(labels)))
        found[index] = _render(keys(seed, f"dermamnist/{split}", index), labels[index], size)
    return found


def _render(row_keys: NDArray[np.uint64], labels: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    count = len(labels)
    traits = np.clip(TRAITS[labels] + SPREAD * _bell(row_keys, 0, len(SPREAD)), 0.02, 1.0)
    radius, irregular, blurred, dark, red, patchy, pale = (column[:, None, None] for column in traits.T)
    axis = (np.arange(size) + 0.5) / size
    middle = 0.5 + 0.08 * _bell(row_keys, 1, 2)
    y, x = axis[None, :, None] - middle[:, 0, None, None], axis[None, None, :] - middle[:, 1, None, None]
    field, tint = np.zeros((count, size, size)), np.zeros((count, size, size))
    offsets, tints = 2 * uniform(row_keys, 2, 2 * BLOBS) - 1, 2 * uniform(row_keys, 3, BLOBS) - 1
    for blob in range(BLOBS):
        shift_y, shift_x = (offsets[:, 2 * blob + axis, None, None] * irregular * radius * 1.6 for axis in (0, 1))
        squares = ((y - shift_y) ** 2 + (x - shift_x) ** 2) / (1.6 * radius) ** 2
        hill = np.maximum(1 - squares, 0) ** 2
        field += hill
        tint += hill * tints[:, blob, None, None]
    peak = field.max((1, 2), keepdims=True)
    inside = np.clip((field / peak - 0.35) / (0.08 + 0.6 * blurred) + 0.5, 0, 1)
    centre = np.maximum(1 - (y**2 + x**2) / (0.7 * radius) ** 2, 0)
    strength = inside * dark * np.clip(1 + patchy * tint / (0.3 * peak) - 1.2 * pale * centre, 0.05, 1.8)
    skin = SKIN + 0.05 * _bell(row_keys, 4, 1) + 0.03 * _bell(row_keys, 5, 3)
    slope = 0.06 * _bell(row_keys, 6, 2)
    light = 1 + slope[:, 0, None, None] * y + slope[:, 1, None, None] * x
    noise = 0.06 * (uniform(row_keys, 7, size * size).reshape(count, size, size) - 0.5)
    absorbed = np.stack([0.75 - 0.45 * red, 1.0 + 0.15 * red, 1.05 - 0.05 * red], axis=-1)
    shown = skin[:, None, None] * light[..., None] * (1 - absorbed * 0.9 * strength[..., None]) + noise[..., None]
    pixels: NDArray[np.uint8] = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    return pixels


def _bell(row_keys: NDArray[np.uint64], stream: int, count: int) -> Floats:
    """(N, count) numbers of mean 0 and deviation 1, within 3.5 of it: a sum of four uniform ones."""
    sums: Floats = uniform(row_keys, stream, 4 * count).reshape(len(row_keys), count, 4).sum(2)
    found: Floats = (sums - 2) * np.sqrt(3.0)
    return found


def _shuffled(labels: NDArray[np.int64], seed: int, split: str) -> NDArray[np.int64]:
    words = bits(keys(seed, f"dermamnist/{split}/order", np.arange(len(labels))), 0, 1)[:, 0]
    return labels[np.argsort(words, kind="stable")]
