"""What is known of each picture, and of its file."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL

if TYPE_CHECKING:
    from torch import Tensor

    from tandem.data.files.records import Record
    from tandem.data.samples import Samples

FILLED, EMPTY, MISSING, NONE = "filled", "empty", "missing", ""
"""Of a mask: something is marked, nothing is, it is unknown, or the data set has no masks."""


@dataclass(frozen=True)
class Facts:
    """One picture that could be read.

    Attributes:
        id: its name.
        split: where it is.
        label: the name of its class; empty where unknown.
        group: whose members stay in one split; empty where it stands alone.
        mask: `filled`, `empty`, `missing`, or nothing where the data set has no masks.
        area: the share of its known pixels that are marked; nan without a mask.
        flat: whether all its pixels are the same.
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
    """One picture's file, by its header.

    Attributes:
        id: of the picture.
        path: of the file.
        width: in pixels.
        height: in pixels.
        mode: Pillow's, such as L or RGB; `?` where the file cannot be read.
        format: such as PNG.
    """

    id: str
    path: str
    width: int = 0
    height: int = 0
    mode: str = "?"
    format: str = "?"


def facts_of(split: str, samples: "Samples", classes: Sequence[str]) -> list[Facts]:
    """What is known of each row of a split, in its order; pictures are looked at a few at a time."""
    import torch

    from tandem.data.loading.storage import chunks

    counts = [_pixels(masks) for masks in chunks(samples.masks)]
    known, marked = (torch.cat(parts).tolist() for parts in zip(*counts, strict=True))
    flat = torch.cat([pixels.amax((1, 2, 3)) == pixels.amin((1, 2, 3)) for pixels in chunks(samples.images)]).tolist()
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


def _pixels(masks: "Tensor") -> "tuple[Tensor, Tensor]":
    """How many pixels of each mask are known, and how many marked."""
    known = masks != MISSING_PIXEL
    return known.flatten(1).sum(1), ((masks > 0) & known).flatten(1).sum(1)


def file_facts(records: Sequence["Record"]) -> list[FileFacts]:
    """Size and mode of each picture's file; of one that cannot be opened, that it cannot."""
    from PIL import Image

    from tandem.data.files.images import FORMATS
    from tandem.errors import DataError
    from tandem.utils.files import check_regular

    found = []
    for record in records:
        path = str(record.image)
        try:
            check_regular(record.image)
            with Image.open(path, formats=list(FORMATS)) as picture:
                size, mode, kind = picture.size, picture.mode, str(picture.format)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, DataError):
            found.append(FileFacts(record.id, path))  # why it cannot be read is among the faults
            continue
        found.append(FileFacts(record.id, path, *size, mode, kind))
    return found


def thumbnails_of(splits: Mapping[str, "Samples"]) -> NDArray[np.uint8]:
    """(N, 64, 64) all pictures in the order of the splits, small and grey by ITU-R 601 luma."""
    from PIL import Image

    from tandem.data.splitting.duplicates import THUMBNAIL

    thumbnails = []
    for image in _images(splits):
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        grey = Image.fromarray(np.ascontiguousarray(pixels)).convert("L")
        small = grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
        thumbnails.append(np.asarray(small, dtype=np.uint8))
    return np.stack(thumbnails)


def digests_of(splits: Mapping[str, "Samples"]) -> list[bytes]:
    """SHA-256 of the pixels of each picture, in the order of the splits."""
    return [hashlib.sha256(image.tobytes()).digest() for image in _images(splits)]


def _images(splits: Mapping[str, "Samples"]) -> Iterator[NDArray[np.uint8]]:
    """(C, H, W) one picture after the other, a few of them in memory."""
    from tandem.data.loading.storage import chunks

    for samples in splits.values():
        for part in chunks(samples.images):
            yield from part.numpy()
