"""Near-duplicates: pictures of one lesion that must not straddle training and test.

A pair counts when both its perceptual hashes (pHash; Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010) and its thumbnails agree. The limits were set on BUSI by looking at the pairs on either side of them:
views of one lesion (saved again, with other callipers, moved by a few pixels) are within, unrelated ones without.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tandem.data.splitting.splits import read_table
from tandem.errors import DataError

THUMBNAIL = 64
"""Side in pixels of the grey thumbnails that are compared."""

HASH_SIDE = 16  # 256 bits; on BUSI, 64 bits leave no gap between repeated and unrelated pictures
BLOCK = 1024  # rows compared at once, so that memory grows with N, not with its square


class Pair(NamedTuple):
    """Two pictures that look alike.

    Attributes:
        one: index of the first.
        other: index of the second, above `one`.
        distance: bits of 256 in which their hashes differ.
        correlation: Pearson's, of their 32x32 thumbnails.
    """

    one: int
    other: int
    distance: int
    correlation: float


def near_duplicate_groups(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], distance: int = 80, correlation: float = 0.85
) -> list[int]:
    """Groups pictures that show the same thing; whoever resembles a member of a group belongs to it.

    Args:
        images: N grey pictures, (N, H, W) uint8 or a list of (H, W) of any sizes; 64x64 saves the resizing.
        distance: the most bits of 256 in which the hashes of a pair may differ; unrelated pictures differ in about 128.
        correlation: what the Pearson correlation of the 32x32 thumbnails of a pair must exceed.

    Returns:
        N group indices, numbered from 0 in order of first appearance; a picture without a like is a group of its own.
    """
    pairs = near_duplicate_pairs(images, distance, correlation)
    return join(len(images), ((pair.one, pair.other) for pair in pairs))


def near_duplicate_pairs(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], distance: int = 80, correlation: float = 0.85
) -> list[Pair]:
    """All pairs of pictures that look alike; arguments as of `near_duplicate_groups`."""
    if len(images) == 0:
        return []
    thumbnails = np.stack([_thumbnail(image) for image in images])
    vectors, flat = _vectors(thumbnails)
    signs = np.where(flat[:, None], np.float32(1), _signs(thumbnails))
    return list(_pairs(signs, vectors, distance, correlation))


def join(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """The connected components of `count` items under `pairs` (union-find), numbered in order of first appearance."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in pairs:
        parent[root(one)] = root(other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(item), len(numbers)) for item in range(count)]


def read_groups(path: Path, ids: Sequence[str]) -> list[int]:
    """Groups from a csv file with the columns `group,image`.

    Args:
        path: the csv file; an image is named by its id, with or without `.png`.
        ids: names of all N pictures of the data set.

    Returns:
        N group indices as `near_duplicate_groups` gives them; a picture that is not listed is a group of its own.

    Raises:
        DataError: a file that cannot be read, an image that is unknown or listed twice.
    """
    row_of = {name: row for row, name in enumerate(ids)}
    first: dict[str, int] = {}
    seen: set[int] = set()
    pairs = []
    for entry in read_table(path, ("group", "image")):
        row = row_of.get(entry["image"].removesuffix(".png"))
        if row is None:
            raise DataError(f"{str(path)!r} lists {entry['image']!r}, which is not below data.root: mend data.groups")
        if row in seen:
            raise DataError(f"{str(path)!r} lists {entry['image']!r} twice: an image belongs to one group")
        seen.add(row)
        pairs.append((row, first.setdefault(entry["group"], row)))
    return join(len(ids), pairs)


def group_names(groups: Sequence[int], ids: Sequence[str]) -> tuple[str, ...]:
    """Names each group after its first member in alphabetical order, so that names outlast the order of files."""
    names: dict[int, str] = {}
    for group, name in zip(groups, ids, strict=True):
        names[group] = min(name, names.get(group, name))
    return tuple(names[group] for group in groups)


def mixed_groups(groups: Sequence[str], labels: Sequence[int]) -> list[str]:
    """Names of the groups that hold pictures of more than one class, in alphabetical order."""
    classes: dict[str, set[int]] = {}
    for group, label in zip(groups, labels, strict=True):
        classes.setdefault(group, set()).add(label)
    return sorted(name for name, found in classes.items() if len(found) > 1)


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    if image.shape == (THUMBNAIL, THUMBNAIL):
        return image
    return np.asarray(Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR), dtype=np.uint8)


def _signs(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Perceptual hashes (N, 256) as -1 and 1, so that a matrix product counts the bits that agree."""
    import imagehash
    from PIL import Image

    bits = np.stack([imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE).hash.ravel() for image in thumbnails])
    return np.where(bits, np.float32(1), np.float32(-1))


def _vectors(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Unit vectors (N, 1 + 32 * 32) whose products are correlations, and which thumbnails are flat.

    A flat thumbnail has no correlation; the extra place makes flat ones alike and unlike everything else.
    """
    half = THUMBNAIL // 2
    blocks = thumbnails.astype(np.float32).reshape(-1, half, 2, half, 2).mean((2, 4)).reshape(-1, half * half)
    centred = blocks - blocks.mean(1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    flat = norm[:, 0] < 1e-3
    vectors = np.where(flat[:, None], 0, centred / np.where(norm > 0, norm, 1))
    return np.hstack([flat[:, None], vectors]).astype(np.float32), flat


def _pairs(
    signs: NDArray[np.float32], vectors: NDArray[np.float32], distance: int, correlation: float
) -> Iterable[Pair]:
    """Pairs of rows, one < other, within both limits."""
    bits = signs.shape[1]
    for start in range(0, len(signs), BLOCK):
        rows = slice(start, start + BLOCK)
        away = (bits - signs[rows] @ signs[start:].T) / 2
        alike = vectors[rows] @ vectors[start:].T
        ones, others = np.nonzero(np.triu((away <= distance) & (alike > correlation), 1))
        found = (ones + start, others + start, away[ones, others].astype(int), alike[ones, others])
        yield from map(Pair, *(values.tolist() for values in found))
