"""The contract of a data set: a name, its classes, and its splits."""

from collections.abc import Mapping
from typing import Protocol

from tandem.data.samples import Samples


class Source(Protocol):
    """A source of images. It knows files or a formula, but not batches, tasks or networks.

    It may also have `targets` (a `Targets`, if its rows have other targets than a class and one lesion mask),
    and, after `load`, `files_fingerprint` (SHA-256 of what was read), `skipped` (a line for each row left out) and
    `records` (a `Record` for each row that was listed, where each is a file).

    Attributes:
        name: short name of the data set, as shown in tables.
        classes: names of the classes, in the order of their indices; empty if images have none.
        channels: channels of an image.
    """

    name: str
    channels: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a data set of files may have to read them from the files."""
        ...

    def load(self) -> Mapping[str, Samples]:
        """The splits `train`, `val` and `test`, decoded.

        Raises:
            DataError: a fault in the files, with the file and the fix in one line.
        """
        ...
