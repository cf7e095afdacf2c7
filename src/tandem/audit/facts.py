"""Facts about each image and its file."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL

if TYPE_CHECKING:
    from torch import Tensor

    from tandem.data.files.records import Record
    from tandem.data.samples import Samples

FILLED, EMPTY, MISSING, NONE = "filled", "empty", "missing", ""
"""State of a mask: with marked pixels, without, unknown, or the data set has no masks."""


@dataclass(frozen=True)
class Facts:
    """An image that could be read.

    Attributes:
        id: its id.
        split: its split.
        label: name of its class; empty if unknown.
        group: its group, whose rows stay in one split; empty if it has none.
        mask: `filled`, `empty`, `missing`, or an empty string if the data set has no masks.
        area: share of marked pixels among known pixels; nan without a mask.
        flat: whether all its pixels have the same value.
    """

    id: str
    split: str
    label: str
    group: str
    mask: str
    area: float
    flat: bool


@dataclass(frozen=True)
class FileFacts:
    """The header of an image file.

    Attributes:
        id: id of the image.
        path: path of the file; the id where ids are hashed.
        width: width in pixels.
        height: height in pixels.
        mode: how pixels are stored, such as L or RGB, see `Header`; `?` if the file cannot be read.
        pixels: what its levels are kept as: uint8, or uint16 or float32 for more than 8 bits.
        format: file format, such as PNG.
    """

    id: str
    path: str
    width: int = 0
    height: int = 0
    mode: str = "?"
    format: str = "?"
    pixels: str = "?"


def facts_of(split: str, samples: "Samples", classes: Sequence[str]) -> list[Facts]:
    """Collects the facts about each row of a split, in order, with a few images in memory at a time."""
    from tandem.data.loading.storage import chunks

    counts = [_pixels(masks) for masks in chunks(samples.masks)]
    known, marked = (torch.cat(parts).tolist() for parts in zip(*counts, strict=True))
    flat = torch.cat([_flat(pixels) for pixels in chunks(samples.images)]).tolist()
    masked = samples.masks.shape[1] > 0
    found = []
    for row, name in enumerate(samples.ids):
        label = int(samples.labels[row])
        state = (MISSING if not known[row] else FILLED if marked[row] else EMPTY) if masked else NONE
        area = marked[row] / known[row] if known[row] else math.nan
        shown = classes[label] if label != MISSING_LABEL else ""
        group = samples.groups[row] if samples.groups else ""
        found.append(Facts(name, split, shown, group, state, area, flat[row]))
    return found


def _flat(images: "Tensor") -> "Tensor":
    """Whether all pixels of an image are equal, (N,)."""
    values = images.numpy().reshape(len(images), -1)  # torch has no maximum of uint16
    return torch.from_numpy(values.max(1) == values.min(1))


def _pixels(masks: "Tensor") -> "tuple[Tensor, Tensor]":
    """Counts the known and the marked pixels of each mask."""
    known = masks != MISSING_PIXEL
    return known.flatten(1).sum(1), ((masks > 0) & known).flatten(1).sum(1)


def file_facts(records: Sequence["Record"]) -> list[FileFacts]:
    """Reads size and mode of each image file; a file that cannot be opened has the mode `?`."""
    from tandem.data.files.images import dtype_of, reader_of
    from tandem.errors import DataError

    found = []
    for record in records:
        path = record.shown
        try:
            says = reader_of(record.image).header(record.image)
        except DataError:
            found.append(FileFacts(record.id, path))  # the faults say why it cannot be read
            continue
        kept = str(dtype_of(record.image))
        found.append(FileFacts(record.id, path, says.width, says.height, says.mode, says.format, kept))
    return found


def thumbnails_of(splits: Mapping[str, "Samples"]) -> NDArray[np.uint8]:
    """Returns grey thumbnails (ITU-R 601 luma) of all images in the order of the splits, (N, 64, 64)."""
    from PIL import Image

    from tandem.data.files.raster import byte_view
    from tandem.data.splitting.duplicates import THUMBNAIL

    thumbnails = []
    for image in _images(splits):
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        grey = Image.fromarray(np.ascontiguousarray(byte_view(pixels))).convert("L")
        small = grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
        thumbnails.append(np.asarray(small, dtype=np.uint8))
    return np.stack(thumbnails)


def digests_of(splits: Mapping[str, "Samples"]) -> list[bytes]:
    """Returns the SHA-256 of each image's pixels, in the order of the splits."""
    return [hashlib.sha256(image.tobytes()).digest() for image in _images(splits)]


def _images(splits: Mapping[str, "Samples"]) -> Iterator[NDArray[Any]]:
    """Yields one image after the other, (C, H, W), with a few of them in memory."""
    from tandem.data.loading.storage import chunks

    for samples in splits.values():
        for part in chunks(samples.images):
            yield from part.numpy()
