"""The masks of an image at the size of its file, read when they are asked for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.masks import MaskValues, unite
from tandem.data.files.placement import Placement


@dataclass(frozen=True, slots=True)
class FileMasks:
    """The mask files of one image.

    Attributes:
        place: where its pixels lie in the network's square; holds the size of the file.
        channels: the mask files of each channel; () is an empty mask, None an unknown one.
        values: meaning of the mask values; None for 0 and 1 or 255.
        image: the image file, shown by who draws it.
        classes: of masks with class indices, the index that each stands for; None: itself.
    """

    place: Placement
    channels: tuple[tuple[Path, ...] | None, ...]
    values: MaskValues | None
    image: Path
    classes: tuple[int, ...] | None = None

    @property
    def resized(self) -> bool:
        """Whether the file has another size than the network's square."""
        return (self.place.height, self.place.width) != (self.place.size, self.place.size)

    def read(self) -> NDArray[np.uint8]:
        """Returns (K, height, width): what the network's masks are made of, with 255 where unknown.

        Raises:
            DataError: a file cannot be read any more.
        """
        place = self.place
        found = np.full((len(self.channels), place.height, place.width), MISSING_PIXEL, dtype=np.uint8)
        for channel, paths in enumerate(self.channels):
            if paths is not None:
                found[channel] = unite(paths, (place.width, place.height), self.values)[0]
        if self.classes is None:
            return found
        known = np.full(256, MISSING_PIXEL, dtype=np.uint8)
        known[: len(self.classes)] = self.classes
        return known[found]
