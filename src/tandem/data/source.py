"""What every data set must offer: a name, its classes, and its splits."""

from collections.abc import Mapping
from typing import Protocol

from tandem.data.samples import Samples


class Source(Protocol):
    """Where pictures come from. Knows files or a formula, nothing of batches, tasks or networks.

    Attributes:
        name: short name of the data set, as shown in tables.
        classes: names of the classes, in the order of their indices.
        channels: channels of an image.
    """

    name: str
    classes: tuple[str, ...]
    channels: int

    def load(self) -> Mapping[str, Samples]:
        """The splits `train`, `val` and `test`, decoded.

        Raises:
            DataError: anything in the files that cannot be used, with file and mend in one line.
        """
        ...
