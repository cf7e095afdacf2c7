"""What a layout or a table says about one picture, before classes and mask values are known."""

from dataclasses import dataclass
from pathlib import Path

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One picture as its data set lists it.

    Attributes:
        id: unique in the data set.
        image: the picture's file.
        masks: its mask files for each channel; none where it has none.
        label: the name of its class; empty where unknown.
        group: whose members stay in one split; empty where it stands alone.
        split: `train`, `val`, `test`, or empty where the data set does not say.
        findings: 0, 1 or 255 (unknown) each.
        columns: numbers, nan where unknown.
        place: names the row of a table, for messages.
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


def split_name(text: str) -> str:
    """`train`, `val` or `test` for the usual names of splits; empty for any other.

    Example:
        >>> split_name("Validation")
        'val'
    """
    return SPLIT_NAMES.get(text.lower(), "")
