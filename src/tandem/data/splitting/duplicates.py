"""Near-duplicates: images of one lesion that must not straddle training and test.

Two images are near-duplicates if both their perceptual hashes (pHash; Zauner, "Implementation and benchmarking of
perceptual image hash functions", 2010) and their thumbnails agree. The limits were chosen on BUSI by inspecting pairs
on either side: views of one lesion (saved again, with other callipers, shifted by a few pixels) are within the limits,
unrelated images are not.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.missing import MissingValues
from tandem.data.splitting.splits import read_table
from tandem.errors import DataError

THUMBNAIL = 64
"""Side in pixels of the grey thumbnails that are compared."""

HASH_SIDE = 16  # 256 bits; on BUSI, 64 bits do not separate repeated from unrelated images
BLOCK = 1024  # rows compared at once, so that memory grows with N, not with N^2


class Pair(NamedTuple):
    """Two near-duplicates.

    Attributes:
        one: index of the first.
        other: index of the second, above `one`.
        distance: number of the 256 bits in which their hashes differ.
        correlation: Pearson correlation of their 32x32 thumbnails.
    """

    one: int
    other: int
    distance: int
    correlation: float


def near_duplicate_groups(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], distance: int = 80, correlation: float = 0.85
) -> list[int]:
    """Groups near-duplicates; an image that resembles any member of a group belongs to the group.

    Args:
        images: N grey images, (N, H, W) uint8 or a list of (H, W) of any sizes; 64x64 needs no resizing.
        distance: maximum number of the 256 bits in which hashes may differ; unrelated images differ in about 128.
        correlation: the Pearson correlation of the 32x32 thumbnails must exceed this.

    Returns:
        N group indices, numbered from 0 in order of first appearance; an image without near-duplicates has its own.
    """
    pairs = near_duplicate_pairs(images, distance, correlation)
    return join(len(images), ((pair.one, pair.other) for pair in pairs))


def near_duplicate_pairs(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], distance: int = 80, correlation: float = 0.85
) -> list[Pair]:
    """Finds all pairs of near-duplicates; arguments as in `near_duplicate_groups`."""
    if len(images) == 0:
        return []
    thumbnails = np.stack([_thumbnail(image) for image in images])
    vectors, flat = _vectors(thumbnails)
    signs = np.where(flat[:, None], np.float32(1), _signs(thumbnails))
    return list(_pairs(signs, vectors, distance, correlation))


def join(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Finds the connected components of `count` items under `pairs` (union-find), numbered by first appearance."""
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
    """Reads groups from a csv file with the columns `group,image`.

    Args:
        path: the csv file; an image is named by its id, with or without `.png`.
        ids: names of all N images of the data set.

    Returns:
        N group indices as from `near_duplicate_groups`; an image that is not listed, or whose group is missing (empty,
        NA, ...), has a group of its own.

    Raises:
        DataError: the file cannot be read, or an image is unknown or listed twice.
    """
    row_of = {name: row for row, name in enumerate(ids)}
    first: dict[str, int] = {}
    seen: set[int] = set()
    pairs, missing = [], MissingValues()
    for entry in read_table(path, ("group", "image")):
        row = row_of.get(entry["image"].removesuffix(".png"))
        if row is None:
            raise DataError(f"{str(path)!r} lists {entry['image']!r}, which is not below data.root: fix data.groups")
        if row in seen:
            raise DataError(f"{str(path)!r} lists {entry['image']!r} twice: an image belongs to one group")
        seen.add(row)
        if group := missing.clean("group", entry["group"]):
            pairs.append((row, first.setdefault(group, row)))
    missing.report(path.name)
    return join(len(ids), pairs)


def group_names(groups: Sequence[int], ids: Sequence[str]) -> tuple[str, ...]:
    """Names each group after its alphabetically first member, so that names do not depend on the order of files."""
    names: dict[int, str] = {}
    for group, name in zip(groups, ids, strict=True):
        names[group] = min(name, names.get(group, name))
    return tuple(names[group] for group in groups)


def mixed_groups(groups: Sequence[str], labels: Sequence[int]) -> list[str]:
    """Returns the names of groups with images of more than one class, in alphabetical order."""
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
    """Returns perceptual hashes, (N, 256), as -1 and 1, so that a matrix product counts equal bits."""
    import imagehash
    from PIL import Image

    bits = np.stack([imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE).hash.ravel() for image in thumbnails])
    return np.where(bits, np.float32(1), np.float32(-1))


def _vectors(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns unit vectors, (N, 1 + 32 * 32), whose products are correlations, and which thumbnails are constant.

    A constant thumbnail has no correlation; the extra element makes constant ones equal to each other and different
    from all others.
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
    """Yields pairs of rows, one < other, within both limits."""
    bits = signs.shape[1]
    for start in range(0, len(signs), BLOCK):
        rows = slice(start, start + BLOCK)
        away = (bits - signs[rows] @ signs[start:].T) / 2
        alike = vectors[rows] @ vectors[start:].T
        ones, others = np.nonzero(np.triu((away <= distance) & (alike > correlation), 1))
        found = (ones + start, others + start, away[ones, others].astype(int), alike[ones, others])
        yield from map(Pair, *(values.tolist() for values in found))
