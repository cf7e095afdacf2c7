"""The grey levels of images of more than 8 bits: which become black and white."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.files.raster import LOWEST, Levels
from tandem.data.loading.storage import chunks, pick
from tandem.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tandem.data.files.records import Decoded

log = logging.getLogger(__name__)

Frame = tuple[int, int, int, int]
"""Top, bottom, left and right of a part of an image; the ends are exclusive."""

LOW, HIGH = 0.001, 0.999
"""Shares of the training pixels that may lie below black, and at or below white."""


def checked_range(given: Sequence[float] | None) -> Levels | None:
    """Returns the option `data.grey_range`.

    Raises:
        ConfigError: it is not two levels, the lower one first.
    """
    if given is None:
        return None
    ends = tuple(given) if isinstance(given, list | tuple) else ()
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends) or not ends[0] < ends[1]:
        raise ConfigError(f"data.grey_range is {given}, but must be [black, white] with black < white")
    return float(ends[0]), float(ends[1])


def settle_levels(name: str, decoded: "Decoded", train: NDArray[np.int64], given: Levels | None) -> Levels | None:
    """Returns black and white of the images of more than 8 bits, None if there are none, and logs what was chosen.

    Also warns, once, about transparent pixels and about images that are rotated by another tag than their masks.

    Args:
        name: name of the data set.
        decoded: all its images.
        train: the rows of the training split.
        given: the option `data.grey_range`; None: see `robust_range`.

    Raises:
        DataError: some images have more than 8 bits, but none of the training split has.
    """
    for line in _remarks(decoded):
        log.warning("data %s: %s", name, line)
    if not decoded.deep.any():
        return None
    rows = train[decoded.deep[train]]
    if given is None and not len(rows):
        raise DataError(
            f"data '{name}': {int(decoded.deep.sum())} images have more than 8 bits, but none of the training split "
            "has, so their black and white are not known: set data.grey_range=[low,high]"
        )
    places = decoded.placements() if decoded.decoder.fit in ("pad", "native") else ()
    frames = [places[row].frame for row in rows.tolist()] if places else None
    found = given or robust_range(pick(decoded.pixels["images"], torch.from_numpy(rows)), frames)
    count, every = int(decoded.deep.sum()), len(decoded.records)
    log.info(
        "data %s: %d of %d images have more than 8 bits; level %g becomes black and %g white (%s)", name, count, every,
        *found, "data.grey_range" if given else f"{LOW:.1%} and {HIGH:.1%} of training pixels; see data.grey_range",
    )  # fmt: skip
    if count < every:
        log.warning(
            "data %s: files differ in depth, %d have 8 bits and %d more (first: %r): check with audit_data whether the "
            "depth gives away the class", name, every - count, count, decoded.files("deep")[0],
        )  # fmt: skip
    return found


def _remarks(decoded: "Decoded") -> Iterator[str]:
    """Yields a line for each fact that changes what images show."""
    if seen := decoded.files("transparent"):
        yield f"images with transparent pixels, composited on data.background: {len(seen)} (first: {seen[0]!r})"
    if turned := decoded.files("turned"):
        yield (
            f"images that differ from a mask in the EXIF orientation tag: {len(turned)} (first: {turned[0]!r}); each "
            "file is rotated by its own tag (NIfTI: by its affine), so if masks were drawn on the stored pixels, "
            "remove the tag of the images"
        )


def robust_range(images: Tensor, frames: Sequence[Frame] | None = None) -> Levels:
    """Returns the levels of black and white: two quantiles, so that a few odd pixels do not set them.

    Args:
        images: (N, C, H, W) uint16 or float32, the training images of more than 8 bits, in memory or not.
        frames: the part of each image that is not padding, as `Placement.frame`; None: all of it.
    """
    low, high = quantiles(images, (LOW, HIGH), frames)
    if low == high:
        low, high = quantiles(images, (0.0, 1.0), frames)
    return low, high if high > low else low + 1


def quantiles(images: Tensor, shares: tuple[float, ...], frames: Sequence[Frame] | None = None) -> tuple[float, ...]:
    """Returns exact quantiles of all pixels (the lower one of two neighbours), with a few images in memory at a time.

    A radix selection: a pass over the high 16 bits of each value finds the bin of each quantile, and a pass for each
    quantile over the low 16 bits of that bin finds the value.

    Args:
        images: (N, C, H, W) uint16 or float32, finite.
        shares: 0 to 1 each.
        frames: see `robust_range`.
    """
    high = _counts(keys >> 16 for keys in _keys(images, frames))
    found = []
    for share in shares:
        rank = int(share * (int(high.sum()) - 1))
        bin_, below = _bin_of(high, rank)
        low = _counts(keys[keys >> 16 == bin_] & 0xFFFF for keys in _keys(images, frames))
        found.append(_value(bin_ << 16 | _bin_of(low, rank - below)[0]))
    return tuple(found)


def _counts(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    counts = np.zeros(2**16, np.int64)
    for part in parts:
        counts += np.bincount(part, minlength=2**16)
    return counts


def _bin_of(counts: NDArray[np.int64], rank: int) -> tuple[int, int]:
    """Returns the bin of the value with this rank, from 0, and the number of values in the bins before it."""
    ends = np.cumsum(counts)
    found = int(np.searchsorted(ends, rank, side="right"))
    return found, int(ends[found] - counts[found])


def _keys(images: Tensor, frames: Sequence[Frame] | None) -> Iterator[NDArray[np.int64]]:
    """Yields the bits of each pixel as float32, as whole numbers in the order of the values."""
    left = None if frames is None else iter(frames)
    for part in chunks(images):
        if left is not None:
            boxes = zip(part, left, strict=False)
            part = torch.cat([one[:, top:bottom, a:b].flatten() for one, (top, bottom, a, b) in boxes])
        if part.dtype == torch.float32 and (padding := part == LOWEST).any():
            part = part[~padding]
        bits = (part.float() + 0.0).numpy().reshape(-1).view(np.uint32)  # + 0.0 turns -0 into 0
        yield np.where(bits >> 31, ~bits, bits | 0x80000000).astype(np.int64)


def _value(key: int) -> float:
    bits = key & 0x7FFFFFFF if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array(bits, np.uint32).view(np.float32))
