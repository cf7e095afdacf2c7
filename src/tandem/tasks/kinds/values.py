"""Converts the values of one image for tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tandem.errors import ConfigError
from tandem.utils.files import shortest

Floats = npt.NDArray[np.float32]


def check_values(task: str, names: Sequence[str], shape: Sequence[int]) -> None:
    """Checks that there is one name for each entry of the second dimension.

    Args:
        task: name of the task.
        names: `class_names` of the task.
        shape: shape of the probabilities, (N, C, *spatial).

    Raises:
        ConfigError: if the numbers of names and values differ.
    """
    if len(shape) < 2 or shape[1] != len(names):
        raise ConfigError(
            f"task '{task}' names {len(names)} values ({', '.join(names)}), but its probabilities have the shape "
            f"{tuple(shape)}; let `class_names` name the entries of their second dimension"
        )


def named(names: Sequence[str], values: Floats) -> dict[str, float]:
    """Returns the values of one image by channel name."""
    return {name: shortest(value) for name, value in zip(names, values.tolist(), strict=True)}


def plain(value: Any) -> Any:
    """Converts a value for a table: torch and numpy numbers to Python numbers, booleans to 1 and 0.

    Example:
        >>> plain(np.int64(3)), plain(True), plain(np.float32(0.1)), plain("benign")
        (3, 1, 0.1, 'benign')
    """
    found = value.item() if isinstance(value, Tensor | np.generic) else value
    if isinstance(found, bool):
        return int(found)
    return shortest(found) if isinstance(found, float) else found


def area(region: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Returns the area of a region in pixels, and its share of the image."""
    pixels = int(region.sum())
    return {"area": pixels, "share": round(pixels / region.size, 6)}
