"""Draws images, masks and labels of any indices of a split, each from its own random numbers."""

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
"""Pixels drawn at once: enough to amortise the overhead of a call, few enough to fit into the processor's cache."""


def image_keys(seed: int, split: str, indices: Sequence[int] | Int64s) -> UInt64s:
    """Returns the keys of images, (N,): all random numbers of image `i` come from the key of (seed, split, i).

    Raises:
        ValueError: an index is below 0.
    """
    rows = np.asarray(indices, dtype=np.int64)
    if (rows < 0).any():
        raise ValueError(f"images are counted from 0, but an index is {rows.min()}")
    return keys(seed, f"phantom/{split}", rows)


def render(
    seed: int, split: str, indices: Sequence[int] | Int64s, params: PhantomParams, chunk: int | None = None
) -> tuple[UInt8s, UInt8s, Int64s]:
    """Draws images of a split; each is a pure function of the seed, the split, its index and the parameters.

    Args:
        seed: any whole number.
        split: name of the split.
        indices: N whole numbers >= 0, in any order.
        params: how the images look.
        chunk: images drawn at once; affects memory and speed, never an image. None for about `CHUNK_PIXELS` pixels.

    Returns:
        Images (N, 1, H, W) uint8; masks (N, 1, H, W) uint8 with 1 inside the lesion, 0 elsewhere; labels (N,) int64 in
        0 (normal), 1 (benign), 2 (malignant).

    Raises:
        ValueError: an index is below 0, or the chunk below 1.
    """
    step = max(1, CHUNK_PIXELS // params.size**2) if chunk is None else chunk
    if step < 1:
        raise ValueError(f"chunk is {chunk}, but must be >= 1")
    every = image_keys(seed, split, indices)
    people = image_keys(seed, split, np.asarray(indices, dtype=np.int64) // params.images_each)
    shape = (len(every), 1, params.size, params.size)
    images, masks, labels = np.empty(shape, np.uint8), np.zeros(shape, np.uint8), _labels(people, params)
    for start in range(0, len(every), step):
        rows = slice(start, start + step)
        images[rows, 0], masks[rows, 0] = _draw(every[rows], people[rows], labels[rows], params)
    return images, masks, labels


def _labels(keys: UInt64s, params: PhantomParams) -> Int64s:
    """Draws classes, (N,): compares one uniform number each with the cumulative probabilities."""
    draw = uniform(keys, Stream.LABEL, 1)
    normal, benign, malignant = params.class_probabilities
    total = normal + benign + malignant
    edges = np.array((normal / total, (normal + benign) / total))
    labels: Int64s = (draw >= edges).sum(axis=1, dtype=np.int64)
    return labels


def _draw(keys: UInt64s, people: UInt64s, labels: Int64s, params: PhantomParams) -> tuple[UInt8s, UInt8s]:
    """Draws a few images and their masks, (n, H, W); tissue, shadows and lesion come from the keys of the people."""
    echo = tissue(people, params.size)
    masks = np.zeros(echo.shape, np.uint8)
    if len(ill := np.flatnonzero(labels)):
        smallest, largest = params.lesion_area
        drawn = lesions(people[ill], labels[ill] == 2, params.size, (smallest, largest), params.contrast)
        echo[ill] = echo[ill] * drawn.factor + drawn.own
        masks[ill] = drawn.masks
    shade(echo, people)
    echo *= attenuation(keys, params.size)
    grain = speckle(keys, params.size)
    grain -= np.float32(1)
    grain *= np.float32(params.noise)
    grain += np.float32(1)
    echo *= grain
    return _developed(echo, keys), masks


def _developed(echo: Field, keys: UInt64s) -> UInt8s:
    """Compresses the amplitudes with a square root and scales each image to a random mean grey, independent of class.

    A scanner compresses logarithmically, and its operator adjusts the gain; the square root is a similar function that
    IEEE 754 rounds correctly. The mean is computed over integers, whose sum does not depend on the order of addition.
    """
    root = np.sqrt(echo, out=echo)
    total = (root * np.float32(4096)).astype(np.int64).sum(axis=(1, 2))
    mean = total / (4096 * root[0].size)
    grey = between(uniform(keys, Stream.GAIN, 1)[:, 0], 70, 120)
    root *= pixel_field(grey / mean)[:, None, None]
    return np.rint(np.minimum(root, np.float32(255))).astype(np.uint8)
