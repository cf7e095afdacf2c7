"""What every data set must offer: a name, its classes, and its splits."""

from collections.abc import Mapping
from typing import Protocol

from tandem.data.samples import Samples


class Source(Protocol):
    """Where pictures come from. Knows files or a formula, nothing of batches, tasks or networks.

    It may also have `targets` (a `Targets`, where its rows carry anything else than a class and one lesion mask),
    and, after `load`, `files_fingerprint` (SHA-256 of what was read), `skipped` (a line for each row left out) and
    `records` (a `Record` for each row that was listed, where each is a file).

    Attributes:
        name: short name of the data set, as shown in tables.
        classes: names of the classes, in the order of their indices; empty where pictures have none.
        channels: channels of an image.
    """

    name: str
    channels: int

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a data set of files may have to look for them."""
        ...

    def load(self) -> Mapping[str, Samples]:
        """The splits `train`, `val` and `test`, decoded.

        Raises:
            DataError: anything in the files that cannot be used, with file and mend in one line.
        """
        ...
