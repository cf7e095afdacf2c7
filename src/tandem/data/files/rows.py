"""What a layout or a table states about one image, before classes and mask values are known."""

from dataclasses import dataclass
from pathlib import Path

SPLIT_NAMES = {  # `tr` and `ts` are those of nnU-Net's folders imagesTr and imagesTs
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "tr": "train",
    "ts": "test",
}


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image as its data set lists it.

    Attributes:
        id: name, unique in the data set.
        image: the image file.
        masks: its mask files for each channel; empty if it has none.
        label: name of its class; empty if unknown.
        group: name of its group, whose rows stay in one split; empty if it has none.
        split: the published split, `train`, `val` or `test`; empty if there is none.
        findings: 0, 1 or 255 (unknown) each.
        columns: numbers, nan where unknown.
        place: the row of the table that it comes from, for messages.
        spacing: height and width of a pixel of the image in millimetres; None if the table does not state them.
    """

    id: str
    image: Path
    masks: tuple[tuple[Path, ...], ...] = ()
    label: str = ""
    group: str = ""
    split: str = ""
    findings: tuple[int, ...] = ()
    columns: tuple[float, ...] = ()
    place: str = ""
    spacing: tuple[float, float] | None = None


def split_name(text: str) -> str:
    """Maps the usual names of splits to `train`, `val` or `test`; any other name to an empty string.

    Example:
        >>> split_name("Validation")
        'val'
    """
    return SPLIT_NAMES.get(text.lower(), "")
