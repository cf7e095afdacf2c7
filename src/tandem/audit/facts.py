"""What is known of each picture, and of its file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL

if TYPE_CHECKING:
    from torch import Tensor

    from tandem.data.records import Record
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
    """What is known of each row of a split, in its order."""
    masks = samples.masks
    known = (masks != MISSING_PIXEL).flatten(1).sum(1)
    marked = ((masks > 0) & (masks != MISSING_PIXEL)).flatten(1).sum(1)
    area = marked / known  # 0 / 0 is nan, as wanted
    pixels = samples.images.flatten(1)
    flat = pixels.amin(1) == pixels.amax(1)
    found = []
    for row, name in enumerate(samples.ids):
        label = int(samples.labels[row])
        state = _state(masks[row], int(known[row]), int(marked[row]))
        shown = classes[label] if label != MISSING_LABEL else ""
        group = samples.groups[row] if samples.groups else ""
        found.append(Facts(name, split, shown, group, state, float(area[row]), bool(flat[row])))
    return found


def _state(mask: "Tensor", known: int, marked: int) -> str:
    if len(mask) == 0:
        return NONE
    return MISSING if known == 0 else FILLED if marked else EMPTY


def file_facts(records: Sequence["Record"]) -> list[FileFacts]:
    """Size and mode of each picture's file; of one that cannot be opened, that it cannot."""
    from PIL import Image

    from tandem.data.pictures import FORMATS

    found = []
    for record in records:
        path = str(record.image)
        try:
            with Image.open(path, formats=list(FORMATS)) as picture:
                size, mode, kind = picture.size, picture.mode, str(picture.format)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            found.append(FileFacts(record.id, path))  # why it cannot be read is among the faults
            continue
        found.append(FileFacts(record.id, path, *size, mode, kind))
    return found


def greys(splits: Mapping[str, "Samples"]) -> list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
    """All pictures as (H, W) uint8, in the order of the splits; colours by ITU-R 601 luma."""
    from PIL import Image

    found = []
    for samples in splits.values():
        for image in samples.images.numpy():
            grey = image[0] if len(image) == 1 else np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))
            found.append(grey)
    return found
