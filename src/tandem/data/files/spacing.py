"""The size of pixels in millimetres: as the file, a table, or an option states it."""

import logging
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tandem.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tandem.data.files.records import Decoded

log = logging.getLogger(__name__)

Spacing = tuple[float, float]
"""Height and width of a pixel of the file in millimetres."""

UNKNOWN: Spacing = (math.nan, math.nan)
"""What `data.spacing=none` states."""


def read_spacing(given: str | float | Sequence[float] | None) -> Spacing | None:
    """Reads the option `data.spacing`.

    Args:
        given: height and width in millimetres, or one number for both; `none` for unknown; None: as each file states.

    Raises:
        ConfigError: it is none of these.
    """
    if given is None:
        return None
    if given == "none":
        return UNKNOWN
    ends = (given, given) if isinstance(given, int | float) else given
    if isinstance(ends, str) or len(ends) != 2 or not all(map(_is_size, ends)):
        raise ConfigError(
            f"data.spacing is {given!r}, but must be [height,width] of a pixel in mm, a number for both, none or null"
        )
    return float(ends[0]), float(ends[1])


def spacing_of(names: Sequence[str], cells: Sequence[str]) -> Spacing | None:
    """Reads the cells of `data.columns.spacing`; None if they are empty.

    Args:
        names: one column with a number, or with height and width; or two columns.
        cells: their text.

    Raises:
        DataError: they hold no size.

    Example:
        >>> spacing_of(["mm"], ["0.2"]), spacing_of(["mm"], ["[0.1, 0.2]"]), spacing_of(["h", "w"], ["", ""])
        ((0.2, 0.2), (0.1, 0.2), None)
    """
    if not any(cells):
        return None
    parts = [part for cell in cells for part in re.split(r"[\s,;x\\]+", cell.strip(" ()[]")) if part]
    numbers = [_number(part) for part in parts]
    if len(numbers) not in (1, 2) or not all(map(_is_size, numbers)):
        shown = ", ".join(f"{name} is {cell!r}" for name, cell in zip(names, cells, strict=True))
        raise DataError(f"{shown}: use the size of a pixel in mm, one number or height and width, or leave it empty")
    return numbers[0], numbers[-1]


def settle_spacing(name: str, decoded: "Decoded") -> NDArray[np.float32] | None:
    """Returns the size of a pixel of each square image in millimetres, and logs whether it is known.

    Where an image is stretched to a square, a pixel's height and width grow by other factors, for each image.

    Args:
        name: name of the data set.
        decoded: all its images.

    Returns:
        (N, 2) height and width, nan where unknown; None if none is known.
    """
    stated = [record.spacing or UNKNOWN for record in decoded.records]
    given = np.array([record.spacing is not None for record in decoded.records])[:, None]
    own = np.where(given, np.array(stated), decoded.arrays["spacing"])
    known = np.isfinite(own[:, 0]) & np.isfinite(own[:, 1])
    if not known.any():
        return None
    if known.all():
        log.info("data %s: the size of pixels is known, so distances between borders and areas are in mm", name)
    else:
        first = decoded.records[int(np.flatnonzero(~known)[0])].shown
        log.warning(
            "data %s: the size of pixels is known for %d of %d images (the first without: %r), so distances between "
            "borders are nan where one without it counts: set data.spacing=[height,width] in mm, or data.spacing=none "
            "for distances in pixels", name, int(known.sum()), len(known), first,
        )  # fmt: skip
    scale = own * decoded.arrays["extent"] / decoded.decoder.size
    if decoded.decoder.fit != "squash":
        scale = own * np.array([place.scale for place in decoded.placements()])
    found: NDArray[np.float32] = scale.astype(np.float32)
    found[~known] = np.nan
    return found


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
