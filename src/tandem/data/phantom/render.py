"""Pictures, masks and labels of any indices of a split, each from its own random numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tandem.data.loading.counter_rng import UInt64s, keys, uniform
from tandem.data.phantom.fields import Field, between, pixel_field
from tandem.data.phantom.lesion import lesions
from tandem.data.phantom.params import PhantomParams
from tandem.data.phantom.speckle import speckle
from tandem.data.phantom.streams import Stream
from tandem.data.phantom.tissue import attenuation, shade, tissue

UInt8s = NDArray[np.uint8]
Int64s = NDArray[np.int64]

CHUNK_PIXELS = 2**17
"""Pixels that are worked on at once: enough to hide the cost of a call, few enough to stay in the processor's cache."""


def picture_keys(seed: int, split: str, indices: Sequence[int] | Int64s) -> UInt64s:
    """(N,) keys: everything random about picture `i` of a split comes from the key of (seed, split, i).

    Raises:
        ValueError: an index below 0.
    """
    rows = np.asarray(indices, dtype=np.int64)
    if (rows < 0).any():
        raise ValueError(f"pictures are counted from 0, but an index is {rows.min()}")
    return keys(seed, f"phantom/{split}", rows)


def render(
    seed: int, split: str, indices: Sequence[int] | Int64s, knobs: PhantomParams, chunk: int | None = None
) -> tuple[UInt8s, UInt8s, Int64s]:
    """Draws pictures of a split; each is a pure function of the seed, the split, its index and the knobs.

    Args:
        seed: any whole number.
        split: name of the split.
        indices: N whole numbers >= 0, in any order.
        knobs: what the pictures look like.
        chunk: pictures drawn at once; changes memory and speed, never a picture. None: about `CHUNK_PIXELS` pixels.

    Returns:
        Images (N, 1, H, W) uint8; masks (N, 1, H, W) uint8 with 1 inside the lesion, 0 elsewhere; labels (N,) int64 in
        0 (normal), 1 (benign), 2 (malignant).

    Raises:
        ValueError: an index below 0, or a chunk below 1.
    """
    step = max(1, CHUNK_PIXELS // knobs.size**2) if chunk is None else chunk
    if step < 1:
        raise ValueError(f"chunk is {chunk}, but must be >= 1")
    every = picture_keys(seed, split, indices)
    shape = (len(every), 1, knobs.size, knobs.size)
    images, masks, labels = np.empty(shape, np.uint8), np.zeros(shape, np.uint8), _labels(every, knobs)
    for start in range(0, len(every), step):
        rows = slice(start, start + step)
        images[rows, 0], masks[rows, 0] = _draw(every[rows], labels[rows], knobs)
    return images, masks, labels


def _labels(keys: UInt64s, knobs: PhantomParams) -> Int64s:
    """(N,) classes: one uniform draw each against the cumulated probabilities."""
    draw = uniform(keys, Stream.LABEL, 1)
    normal, benign, malignant = knobs.class_probabilities
    total = normal + benign + malignant
    edges = np.array((normal / total, (normal + benign) / total))
    labels: Int64s = (draw >= edges).sum(axis=1, dtype=np.int64)
    return labels


def _draw(keys: UInt64s, labels: Int64s, knobs: PhantomParams) -> tuple[UInt8s, UInt8s]:
    """(n, H, W) images and masks of a few pictures."""
    echo = tissue(keys, knobs.size)
    masks = np.zeros(echo.shape, np.uint8)
    if len(ill := np.flatnonzero(labels)):
        smallest, largest = knobs.lesion_area
        drawn = lesions(keys[ill], labels[ill] == 2, knobs.size, (smallest, largest), knobs.contrast)
        echo[ill] = echo[ill] * drawn.factor + drawn.own
        masks[ill] = drawn.masks
    shade(echo, keys)
    echo *= attenuation(keys, knobs.size)
    grain = speckle(keys, knobs.size)
    grain -= np.float32(1)
    grain *= np.float32(knobs.noise)
    grain += np.float32(1)
    echo *= grain
    return _developed(echo, keys), masks


def _developed(echo: Field, keys: UInt64s) -> UInt8s:
    """Compresses the amplitudes by a square root and sets each picture's mean grey by chance, whatever it shows.

    A scanner compresses by a logarithm and its operator turns the gain; the root is the exactly rounded likeness. The
    mean is taken over whole numbers, whose sum does not depend on the order of adding.
    """
    root = np.sqrt(echo, out=echo)
    total = (root * np.float32(4096)).astype(np.int64).sum(axis=(1, 2))
    mean = total / (4096 * root[0].size)
    grey = between(uniform(keys, Stream.GAIN, 1)[:, 0], 70, 120)
    root *= pixel_field(grey / mean)[:, None, None]
    return np.rint(np.minimum(root, np.float32(255))).astype(np.uint8)
